"""The one way a notebook is written down, so that a one-word edit is a one-line diff.

    $ python -m opslab.grading.form lessons solutions            # rewrite what is not in form
    $ python -m opslab.grading.form --check lessons solutions    # only say which notebooks are not

What a notebook keeps depends on what it is: a lesson keeps its outputs, solutions and exercises have none, and only an
exercise keeps the locks and checksums that nbgrader adds on release.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDERS = {"lessons": "lesson", "solutions": "solution", "exercises": "exercise"}
"""The folders of the course, and what kind of notebook each holds."""

SKIPPED = {".ipynb_checkpoints", "workspace"}
"""Folders whose notebooks are not the course's own."""

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}

NBGRADER_KEYS = ("grade", "grade_id", "locked", "points", "schema_version", "solution", "task")
RELEASE_KEYS = ("cell_type", "checksum")

ID_PATTERN = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class NotANotebook(ValueError):
    """The data is not a notebook of format 4. The text says what was found."""


def canonical(notebook: Mapping[str, Any], kind: str) -> str:
    """The text of a notebook in its one form, with a newline at the end.

    notebook: the parsed JSON (or a NotebookNode). It is not changed.
    kind: 'lesson', 'solution' or 'exercise'.
    Raises NotANotebook where the data is something else, ValueError for an unknown kind.
    """
    if kind not in FOLDERS.values():
        raise ValueError(f"found the kind {kind!r}; expected one of {', '.join(FOLDERS.values())}")
    if not isinstance(notebook, Mapping) or not isinstance(notebook.get("cells"), list):
        raise NotANotebook("there is no list of cells in it; open it in JupyterLab and save it again")
    if notebook.get("nbformat") != 4:
        raise NotANotebook(f"its nbformat is {notebook.get('nbformat')!r}; 4 is expected")
    cells = [_cell(cell, kind) for cell in notebook["cells"]]
    for cell, name in zip(cells, _ids(notebook["cells"]), strict=True):
        cell["id"] = name
    if kind == "lesson":
        _count(cells)
    form = {
        "cells": cells,
        "metadata": {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(form, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _count(cells: list[dict[str, Any]]) -> None:
    """Number the code cells of a lesson from the top, as one clean run would: nbval compares only what has a number."""
    for count, cell in enumerate((cell for cell in cells if cell["cell_type"] == "code"), start=1):
        cell["execution_count"] = count
        for output in cell["outputs"]:
            if output["output_type"] == "execute_result":
                output["execution_count"] = count


def _cell(cell: Mapping[str, Any], kind: str) -> dict[str, Any]:
    if not isinstance(cell, Mapping) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        raise NotANotebook("one of its cells has no known cell_type (code, markdown or raw)")
    form = {"cell_type": cell["cell_type"], "metadata": _metadata(cell, kind), "source": _lines(cell.get("source", ""))}
    if cell["cell_type"] == "code":
        form["execution_count"] = None
        form["outputs"] = _outputs(cell.get("outputs") or []) if kind == "lesson" else []
    elif cell.get("attachments"):
        form["attachments"] = cell["attachments"]
    return form


def _metadata(cell: Mapping[str, Any], kind: str) -> dict[str, Any]:
    found = cell.get("metadata") or {}
    kept: dict[str, Any] = {}
    if found.get("tags"):
        kept["tags"] = list(found["tags"])
    if kind == "lesson" and (found.get("jupyter") or {}).get("outputs_hidden"):
        # The answer to a “predict before you run” is folded until it is asked for.
        kept["jupyter"] = {"outputs_hidden": True}
    if kind != "lesson" and found.get("nbgrader"):
        keys = NBGRADER_KEYS + (RELEASE_KEYS if kind == "exercise" else ())
        kept["nbgrader"] = {key: _number(found["nbgrader"][key]) for key in keys if key in found["nbgrader"]}
        if not (kept["nbgrader"].get("grade") or kept["nbgrader"].get("task")):
            kept["nbgrader"].pop("points", None)
        if kind == "exercise":
            kept.update({key: found[key] for key in ("deletable", "editable") if key in found})
    return kept


def _number(value: Any) -> Any:
    """3.0 as 3: the editor and nbgrader write the same points in different ways."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _outputs(outputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Outputs without counts and metadata; what came in pieces on one stream is put together again.

    Where a stream is cut depends on the moment, so two runs of the same cell would differ.
    """
    kept: list[dict[str, Any]] = []
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            text = _text(output.get("text", ""))
            if kept and kept[-1]["output_type"] == "stream" and kept[-1]["name"] == output.get("name"):
                kept[-1]["text"] = _lines(_text(kept[-1]["text"]) + text)
            else:
                kept.append({"output_type": "stream", "name": output.get("name", "stdout"), "text": _lines(text)})
        elif kind == "error":
            kept.append({key: output.get(key, "") for key in ("output_type", "ename", "evalue")})
            kept[-1]["traceback"] = list(output.get("traceback") or [])
        elif kind in ("display_data", "execute_result"):
            data = {
                mime: value if mime == "application/json" or mime.endswith("+json") else _lines(value)
                for mime, value in output.get("data", {}).items()
            }
            kept.append({"output_type": kind, "data": data, "metadata": {}})
            if kind == "execute_result":
                kept[-1]["execution_count"] = None
        else:
            raise NotANotebook(f"one of its outputs is of the type {kind!r}, which format 4 does not have")
    return kept


def _text(source: str | Sequence[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _lines(source: str | Sequence[str]) -> list[str]:
    """One string per line, each with its line end, as Jupyter writes them."""
    text = _text(source).replace("\r\n", "\n")
    return [piece for piece in re.split(r"(?<=\n)", text) if piece]


def _ids(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """An id for each cell: nbgrader's own name for it, else the one it has, else one that follows from its content."""
    names = [(cell.get("metadata") or {}).get("nbgrader", {}).get("grade_id") or cell.get("id") for cell in cells]
    taken: set[str] = set()
    result: list[str] = []
    kept = {name for name in names if isinstance(name, str) and ID_PATTERN.fullmatch(name)}
    for cell, name in zip(cells, names, strict=True):
        if name in kept and name not in taken:
            choice = name
        else:
            base = _derived(cell)
            choice, number = base, 2
            while choice in taken or choice in kept:
                choice, number = f"{base}-{number}", number + 1
        taken.add(choice)
        result.append(choice)
    return result


def _derived(cell: Mapping[str, Any]) -> str:
    """A name for a cell that has none: the words of its heading, else a hash of what stands in it."""
    text = _text(cell.get("source", ""))
    heading = re.match(r"#+\s+(.+)", text) if cell["cell_type"] == "markdown" else None
    words = re.findall(r"[a-z0-9]+", heading[1].lower()) if heading else []
    if words:
        return "-".join(words)[:48].strip("-")
    return hashlib.sha256(f"{cell['cell_type']}\n{text}".encode()).hexdigest()[:8]


# ---- files ----------------------------------------------------------------------------------------------------------


def kind_of(path: Path) -> str:
    """What kind of notebook a path holds, by the folder of the course it is in. Raises ValueError where it is in none."""
    for part in reversed(path.absolute().parts[:-1]):
        if part in FOLDERS:
            return FOLDERS[part]
    raise ValueError(f"found {path} outside of {', '.join(FOLDERS)}; name its kind with --kind")


def notebooks(paths: Sequence[Path]) -> Iterator[Path]:
    """The notebooks among `paths`: files as they are, folders searched, without checkpoints and learners' workspaces."""
    for path in paths:
        if path.is_dir():
            found = (file for file in path.rglob("*.ipynb") if not SKIPPED.intersection(file.relative_to(path).parts))
            yield from sorted(found)
        else:
            yield path


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 1 where a notebook cannot be read or, with --check, is not in form."""
    parser = argparse.ArgumentParser(
        prog="python -m opslab.grading.form", description="Write notebooks in their one form."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; say which notebooks are not in form")
    parser.add_argument(
        "--kind", choices=sorted(FOLDERS.values()), help="for notebooks outside of the course's folders"
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="notebooks, or folders of notebooks")
    options = parser.parse_args(arguments)
    failed = False
    for path in notebooks(options.paths):
        try:
            kind = options.kind or kind_of(path)
            text = path.read_bytes().decode()
            wanted = canonical(json.loads(text), kind)
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(f"{path}: cannot be read as a notebook: {reason}", file=sys.stderr)
            failed = True
            continue
        if text == wanted:
            continue
        if options.check:
            print(f"{path}: not in canonical form; “make fmt” writes it that way", file=sys.stderr)
            failed = True
        else:
            path.write_bytes(wanted.encode())
            print(f"{path}: rewritten")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
