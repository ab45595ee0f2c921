"""Submissions in, gradebook and feedback out: the course's side of nbgrader.

- `form`: the one way a notebook is written down
- `release`: exercises/ from solutions/
- `submission`: what was handed in, read with care
- `replay`: a notebook without its workspace, run once more
- `nbgrader_plugin`: grades from worlds, in nbgrader's own pipeline
- `exchange`: release, submit and collect of plain files
"""
