"""The canonical form of notebooks: what is kept, what goes, and that every notebook of the course is in it."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from opslab.grading import form

ROOT = Path(__file__).parents[1]
NOTEBOOKS = list(form.notebooks([ROOT / folder for folder in form.FOLDERS]))


def code(source, **more):
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": 3, **more}


def markdown(source, **more):
    return {"cell_type": "markdown", "metadata": {}, "source": source, **more}


def graded(name="check-1-2", **more):
    metadata = {"grade": True, "grade_id": name, "locked": True, "points": 4.0, "schema_version": 3, "solution": False}
    return {"nbgrader": {**metadata, "task": False, "checksum": "0" * 32, "cell_type": "code", **more}}


def notebook(*cells, **metadata):
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}


def formed(kind, *cells):
    return json.loads(form.canonical(notebook(*cells), kind))["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_notebook_of_the_course_is_in_form(path):
    text = path.read_bytes().decode()
    assert text == form.canonical(json.loads(text), form.kind_of(path)), "make fmt writes it that way"


def test_the_course_has_notebooks_to_look_at():
    assert {form.kind_of(path) for path in NOTEBOOKS} == set(form.FOLDERS.values())


@pytest.mark.parametrize("kind", form.FOLDERS.values())
def test_the_form_is_valid_and_its_own_form(kind):
    stream = [{"output_type": "stream", "name": "stdout", "text": ["a\n", "b"]}]
    text = form.canonical(notebook(markdown("# Żółw — ok"), code("1\n2", outputs=stream), code("1\n2")), kind)
    nbformat.validate(nbformat.reads(text, as_version=4))
    assert form.canonical(json.loads(text), kind) == text
    assert "Żółw — ok" in text and text.endswith("}\n") and "\n " in text


def test_a_one_word_edit_is_a_one_line_diff():
    cells = [markdown("# Title\n\nOne line.\nAnother line.\n"), code("first = 1\nsecond = 2\n")]
    before = form.canonical(notebook(*cells), "solution")
    edited = json.loads(before)
    edited["cells"][0]["source"] = "# Title\n\nOne line.\nAnother word.\n"
    after = form.canonical(edited, "solution")
    changed = [pair for pair in zip(before.split("\n"), after.split("\n"), strict=True) if pair[0] != pair[1]]
    assert len(changed) == 1


def test_text_in_one_piece_or_in_lines_is_the_same_text():
    assert form.canonical(notebook(code("a\nb")), "lesson") == form.canonical(notebook(code(["a\n", "b"])), "lesson")
    assert formed("lesson", code("a\r\nb\x0bc"))[0]["source"] == ["a\n", "b\x0bc"]


def test_lessons_keep_outputs_and_are_counted_from_the_top_others_have_neither():
    output = {"output_type": "execute_result", "data": {"text/plain": "7"}, "metadata": {"x": 1}, "execution_count": 9}
    cells = [code("6"), markdown("text"), code("7", outputs=[output])]
    kept = formed("lesson", *cells)
    assert [cell.get("execution_count") for cell in kept] == [1, None, 2]
    assert kept[2]["outputs"] == [
        {"output_type": "execute_result", "data": {"text/plain": ["7"]}, "metadata": {}, "execution_count": 2}
    ]
    for kind in ("solution", "exercise"):
        assert [(cell["execution_count"], cell["outputs"]) for cell in formed(kind, cells[0], cells[2])] == [
            (None, [])
        ] * 2


def test_a_stream_that_came_in_pieces_is_put_together():
    pieces = [{"output_type": "stream", "name": "stdout", "text": text} for text in ("on", "e\ntwo\n")]
    other = {"output_type": "stream", "name": "stderr", "text": "oh\n"}
    outputs = formed("lesson", code("…", outputs=[*pieces, other, pieces[1]]))[0]["outputs"]
    assert [(output["name"], output["text"]) for output in outputs] == [
        ("stdout", ["one\n", "two\n"]), ("stderr", ["oh\n"]), ("stdout", ["e\n", "two\n"]),
    ]  # fmt: skip


def test_json_data_of_an_output_is_not_cut_into_lines():
    data = {"application/json": {"a": "x\ny"}, "application/vnd.vega+json": "x\ny", "text/html": "x\ny"}
    shown = {"output_type": "display_data", "data": data, "metadata": {}}
    assert formed("lesson", code("…", outputs=[shown]))[0]["outputs"][0]["data"] == {**data, "text/html": ["x\n", "y"]}


def test_metadata_is_kept_by_a_list_of_names():
    metadata = {"tags": ["predict"], "collapsed": True, "deletable": False, "editable": False, **graded()}
    cell = code('opslab.check("1.2")', metadata=metadata)
    lesson, solution, exercise = (formed(kind, cell)[0]["metadata"] for kind in form.FOLDERS.values())
    assert lesson == {"tags": ["predict"]}
    assert set(solution) == {"tags", "nbgrader"}
    assert set(solution["nbgrader"]) == set(form.NBGRADER_KEYS)
    assert exercise["nbgrader"]["checksum"] == "0" * 32 and exercise["editable"] is False
    assert repr(exercise["nbgrader"]["points"]) == "4"
    whole = form.canonical(
        notebook(cell, kernelspec={"name": "mine"}, widgets={}, language_info={"version": "3.99"}), "lesson"
    )
    assert json.loads(whole)["metadata"] == {"kernelspec": form.KERNELSPEC, "language_info": {"name": "python"}}


def test_points_stay_with_graded_cells_only():
    answer = {"grade": False, "solution": True, "grade_id": "answer-1-2", "points": 0}
    assert "points" not in formed("solution", code("…", metadata=graded(**answer)))[0]["metadata"]["nbgrader"]


def test_ids_are_kept_readable_and_unique():
    cells = [
        markdown("## 1.2 · Which partner feed is late? (4 points)"),
        markdown("## 1.2 · Which partner feed is late? (4 points)"),
        code("x", id="mine"),
        code("y", id="mine"),
        code("z", id="not valid!"),
        code("check", id="8c2f", metadata=graded()),
        code("z"),
    ]
    names = [cell["id"] for cell in formed("solution", *cells)]
    assert names[:3] == ["1-2-which-partner-feed-is-late-4-points", "1-2-which-partner-feed-is-late-4-points-2", "mine"]
    assert names[5] == "check-1-2"
    assert len(set(names)) == len(names) and all(form.ID_PATTERN.fullmatch(name) for name in names)


def test_a_cell_put_in_between_renames_no_other():
    cells = formed("solution", markdown("text"), code("a"), code("b"))
    again = formed("solution", cells[0], code("new"), *cells[1:])
    assert [cell["id"] for cell in again if cell["source"] != ["new"]] == [cell["id"] for cell in cells]


@pytest.mark.parametrize(
    "data, says",
    [
        ([], "no list of cells"),
        ({"worksheets": [], "nbformat": 3}, "no list of cells"),
        ({"cells": [], "nbformat": 5}, "nbformat is 5"),
        ({"cells": ["x"], "nbformat": 4}, "cell_type"),
        ({"cells": [code("x", outputs=[{"output_type": "pyout"}])], "nbformat": 4}, "pyout"),
    ],
)
def test_what_is_no_notebook_is_refused_in_words(data, says):
    with pytest.raises(form.NotANotebook, match=says):
        form.canonical(data, "lesson")


def test_the_command_checks_rewrites_and_is_then_content(tmp_path, capsys):
    path = tmp_path / "lessons" / "99_try.ipynb"
    path.parent.mkdir()
    path.write_text(json.dumps(notebook(markdown("# Hi"))))
    aside = tmp_path / "lessons" / "workspace" / "notes.ipynb"
    aside.parent.mkdir()
    aside.write_text("{}")
    before = path.read_text()

    assert form.main(["--check", str(tmp_path / "lessons")]) == 1
    assert "99_try.ipynb: not in canonical form" in capsys.readouterr().err and path.read_text() == before
    assert form.main([str(tmp_path / "lessons")]) == 0
    assert "rewritten" in capsys.readouterr().out
    assert form.main(["--check", str(tmp_path / "lessons")]) == 0
    assert aside.read_text() == "{}"


def test_the_command_says_what_it_cannot_read(tmp_path):
    broken, stray = tmp_path / "lessons" / "a.ipynb", tmp_path / "b.ipynb"
    broken.parent.mkdir()
    broken.write_text("{")
    stray.write_text("{}")
    command = [sys.executable, "-m", "opslab.grading.form", str(broken), str(stray), str(tmp_path / "none.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 3 and "--kind" in done.stderr
