"""The first minutes of a new learner, in a real browser: `opslab learn`, the first screen, the first lesson top to bottom."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import browser
import pytest
from playwright.sync_api import Page, expect

pytestmark = [
    pytest.mark.browser,
    # One course and one browser serve all tests here, so they stay together on one worker.
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(
        os.environ.get("OPSLAB_NO_BROWSER") == "1", reason="OPSLAB_NO_BROWSER=1: somebody left them out on purpose"
    ),
]

LESSON = "lessons/00_start_here.ipynb"

# What is expected is waited for; by itself, no longer than 5 seconds.
expect.set_options(timeout=browser.MINUTE)


TRAPS = {
    ".bashrc": "touch {home}/bash-was-here\n",
    ".bash_profile": "touch {home}/bash-was-here\n",
    ".profile": "touch {home}/bash-was-here\n",
    ".jupyter/jupyter_server_config.py": "open('{home}/jupyter-was-here', 'w')\n",
    ".jupyter/jupyter_config.py": "open('{home}/jupyter-was-here', 'w')\n",
    ".ipython/profile_default/startup/00-mine.py": "open('{home}/ipython-was-here', 'w')\n",
}


@dataclass
class Visit:
    """A learner before the first screen. home: what their real HOME is, with traps in it that tell when they are read."""

    course: browser.Course
    page: Page
    log: browser.Log
    root: Path
    home: Path


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    browser.chromium()  # without one, this fails at once and says how to get it
    root = browser.copy_course(tmp_path_factory.mktemp("course") / "course")
    browser.set_settings(root, browser.SCREEN_READER)
    home = tmp_path_factory.mktemp("home")
    for name, text in TRAPS.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text.format(home=home))
    with (
        browser.running(root, env={"HOME": str(home), "AWS_SECRET_ACCESS_KEY": "not-for-the-world"}) as course,
        browser.opened(course.url) as (page, log),
    ):
        browser.wait_until_idle(page)
        yield Visit(course, page, log, root, home)


def test_the_first_lesson_is_open_and_a_terminal_stands_beside_it(visit, tmp_path):
    page = visit.page
    expect(page.locator(f"{browser.NOTEBOOK} h1").first).to_contain_text("00 · Start here")
    expect(page.locator(browser.TERMINAL)).to_be_visible()
    notebook, terminal = (page.locator(part).bounding_box() for part in (browser.NOTEBOOK, browser.TERMINAL))
    assert notebook["x"] + notebook["width"] <= terminal["x"], "the terminal is to the right of the notebook"
    assert abs(notebook["y"] - terminal["y"]) < 60 and min(notebook["height"], terminal["height"]) > 500
    # The kernel's name and state can be read, at the end of the toolbar.
    expect(page.locator(f"{browser.NOTEBOOK} .jp-KernelName")).to_be_visible()
    picture = tmp_path / "first-screen.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > 20_000, f"the page is blank: {picture}"


def test_the_terminal_is_in_the_world(visit):
    page, workspace = visit.page, visit.root / "exercises" / "01_shell_setup" / "workspace"
    screen = page.locator(f"{browser.TERMINAL} .xterm-accessibility-tree")
    expect(screen).to_contain_text("Module 01: ~ is exercises/01_shell_setup/workspace")
    expect(screen).to_contain_text("you@targ:~$")
    page.click(browser.TERMINAL)
    page.keyboard.type("echo $((40+2)) $HOME; pwd; env | grep -c SECRET\n")
    # An answer that is nowhere in what was typed. Rows are as wide as the window: a long path is broken.
    expect(screen).to_contain_text("42 ")
    page.wait_for_function(
        "([part, wanted]) => document.querySelector(part).innerText.replaceAll('\\n', '').includes(wanted)",
        arg=[f"{browser.TERMINAL} .xterm-accessibility-tree", f"42 {workspace}{workspace}0you@targ"],
    )


def test_the_lesson_runs_top_to_bottom(visit):
    page, path = visit.page, visit.root / LESSON
    browser.run_all(page, path)
    cells = [cell for cell in browser.saved(path, page)["cells"] if cell["cell_type"] == "code"]
    numbers = [cell["execution_count"] for cell in cells]
    assert numbers == list(range(1, len(cells) + 1))
    for cell in cells:
        errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
        tagged = "raises-exception" in cell["metadata"].get("tags", ())
        assert bool(errors) == tagged, f"{''.join(cell['source'])}\n{errors}"


def test_both_themes_work(visit):
    page = visit.page
    assert page.get_attribute("body", "data-jp-theme-light") == "true"
    for name, light in (("JupyterLab Dark", "false"), ("JupyterLab Light", "true")):
        browser.menu(page, "Settings", "Theme", name)
        page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")


def test_only_what_a_learner_needs_is_there(visit):
    page = visit.page
    labels = page.locator(".lm-MenuBar-itemLabel").all_inner_texts()
    assert labels == ["File", "Edit", "View", "Run", "Kernel", "Tabs", "Settings", "Help"]
    expect(page.get_by_text("Formgrader")).to_have_count(0)
    expect(page.locator(".jp-Dialog, .Toastify__toast")).to_have_count(0)


def test_nothing_asks_the_internet_and_the_page_is_without_errors(visit):
    assert len(visit.log.requests) > 20, "nothing was seen, so nothing was tested"
    assert any(url.startswith("ws://127.0.0.1") for url in visit.log.requests)
    assert visit.log.elsewhere() == []
    assert visit.log.errors == []


def test_the_learners_own_home_is_neither_read_nor_written(visit):
    there = {str(path.relative_to(visit.home)) for path in visit.home.rglob("*") if path.is_file()}
    assert there == set(TRAPS)


def test_without_a_browser_the_message_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "MAC_CHROME", str(tmp_path / "none"))
    with pytest.raises(browser.NoBrowser, match="apt-get install chromium"):
        browser.chromium()
