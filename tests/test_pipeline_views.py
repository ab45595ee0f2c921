"""The pictures: the same bytes each time, and readable without colours and without eyes."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest

from opslab.worlds.pipeline.views import STATES, View, against_band, row_counts, run_grid

STEPS = [
    {"day": "2026-11-15", "step": "stage", "subject": "clicks", "status": "success", "rows_out": 24_569},
    {"day": "2026-11-15", "step": "clean", "subject": "clicks", "status": "success", "rows_out": 24_510},
    {"day": "2026-11-16", "step": "stage", "subject": "clicks", "status": "success", "rows_out": 0},
    {"day": "2026-11-16", "step": "check", "status": "failed", "rows_out": None},
    {"day": "2026-11-16", "step": "clean", "subject": "clicks", "status": "upstream_failed", "rows_out": None},
]
COUNTS = pd.DataFrame({"clicks": [24_569, 0], "orders": [973, 998]}, index=["2026-11-15", "2026-11-16"])


def views() -> dict[str, View]:
    return {
        "grid": run_grid(STEPS),
        "counts": row_counts(COUNTS, marked={"2026-11-16": "no clicks"}),
        "band": against_band(
            {"clicks": [19_800, 24_300], "null share": [0.0, 0.0], "orders": [900, 950]},
            {"clicks": 0.0, "null share": 0.2, "orders": 930, "never seen": 1.0},
        ),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, View]:
    return views()


def test_the_grid_in_letters(drawn):
    assert str(drawn["grid"]).splitlines() == [
        "Runs",
        "                 11-15  11-16",
        "stage clicks  ✓ 24,569    ✓ 0",
        "clean clicks  ✓ 24,510      ⊘",
        "check                ·      ✗",
        "✓ success, ✗ failed, ⊘ not run, because an earlier step failed, · not run",
    ]


def test_a_step_that_was_run_again_stays_where_it_was():
    marts = {"day": "2026-11-15", "step": "mart", "subject": "clicks_daily", "status": "success", "rows_out": 7}
    whole = {"day": "2026-11-15", "step": "Airflow", "subject": "clicks_daily", "status": "success"}
    lines = str(run_grid([marts, *STEPS[1::-1], whole])).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["Airflow", "stage", "clean", "mart"]


def test_counts_and_band_in_letters(drawn):
    assert str(drawn["counts"]).splitlines()[2:] == [
        "2026-11-15  24,569     973",
        "2026-11-16       0     998  ← no clicks",
    ]
    assert [line.split()[:2] for line in str(drawn["band"]).splitlines()[2:]] == [
        ["✗", "below"],
        ["✗", "above"],
        ["✓", "orders"],
    ]
    assert "19,800 to 24,300" in str(drawn["band"]) and "never seen" not in str(drawn["band"])


def test_the_pictures_say_it_in_words_and_signs_too(drawn):
    """All that the letters say stands in the picture as text, and states differ by hatch, not by colour alone."""
    texts = {name: " ".join("".join(text.itertext()) for text in ET.fromstring(view.svg).iter("{http://www.w3.org/2000/svg}text"))
             for name, view in drawn.items()}  # fmt: skip
    for word in ("✓ 24,569", "✓ 0", "✗", "⊘", "stage clicks", "11-16", "✗ failed"):
        assert word in texts["grid"]
    assert "no clicks" in texts["counts"] and "orders" in texts["counts"]
    assert "✗ below" in texts["band"] and "19,800 to 24,300" in texts["band"]
    assert len(re.findall(r'<pattern|id="h[0-9a-f]+"', drawn["grid"].svg)) >= 2
    signs = [(sign, hatch) for sign, _, _, hatch in STATES.values()]
    assert len({sign for sign, _ in signs}) == len(STATES)


def test_a_notebook_gets_the_picture_and_a_screen_reader_the_text(drawn):
    html = drawn["grid"]._repr_html_()
    assert 'role="img" aria-label="Runs"' in html and "<details>" in html and "✓ 24,569    ✓ 0" in html
    assert "<script" not in html and "xmlns:xlink" in html
    evil = run_grid([{**STEPS[0], "subject": "<script>alert(1)</script>"}], title='"><b>')
    assert "<script" not in evil._repr_html_() and "<b>" not in evil._repr_html_()


@pytest.mark.slow
def test_the_same_data_gives_the_same_bytes_in_another_process(drawn):
    code = "from tests.test_pipeline_views import views; print(hash_of({n: v.svg for n, v in views().items()}))"
    root = Path(__file__).parents[1]
    code = (
        "import hashlib, sys; hash_of = lambda d: hashlib.sha256(repr(sorted(d.items())).encode()).hexdigest()\n" + code
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env={"PYTHONHASHSEED": "5", "TZ": "Asia/Kathmandu", "HOME": "/nonexistent", "PATH": ""},
                          capture_output=True, text=True, check=True)  # fmt: skip
    import hashlib

    here = hashlib.sha256(repr(sorted((name, view.svg) for name, view in drawn.items())).encode()).hexdigest()
    assert done.stdout.strip() == here
    assert "<dc:date>" not in drawn["grid"].svg


def test_what_is_empty_is_drawn_all_the_same():
    assert "Runs" in str(run_grid([]))
    assert against_band({}, {"clicks": 3.0}).text.split() == ["measure", "today", "usual"]
