"""How a merge request and a commit graph look: safe whoever wrote them, readable for everybody, in both themes."""

from __future__ import annotations

import os
import re
import socket
import urllib.error
import urllib.request
from html.parser import HTMLParser
from xml.etree import ElementTree

import browser
import pytest
from test_forge_desk import Desk, make_desk

from opslab.worlds.forge.commit_graph import COLOURS, commit_graph
from opslab.worlds.forge.markdown import render
from opslab.worlds.forge.page import Page
from opslab.worlds.forge.serve import Server

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Desk:
    """A merge request in which everything that somebody can write wants to be more than text."""
    desk = make_desk(tmp_path_factory.mktemp("desk"), reviewers={"mira": ["select-star"]})
    desk.forge.add_user("evil", EVIL)
    files = {
        "a<b>&\"c'.sql": f"select *\nfrom {EVIL}\n",
        "bin.png": b"\0\1\2",
        "orders.sql": "select id, amount, country\nfrom raw.orders\n",
        ".gitlab-ci.yml": "test:\n  script: [\"echo '<script>alert(3)</script>'\"]\n",
    }
    desk.repository.commit("evil", files, EVIL, by="evil")
    desk.repository.commit("main", {"more.sql": "select 1\n"}, "More", by="ola")
    description = (
        f"{EVIL}\n\n[x](javascript:alert(4)) ![y](https://elsewhere.example/y.png)\n\n```diff\n+ {EVIL}\n- old\n```\n"
    )
    description += f"<details><summary>Show Output</summary>\n\n```\n{EVIL}\n```\n</details>"
    mr = desk.repository.create_merge_request("evil", by="evil", title=EVIL, description=description, label=[EVIL])
    mr.comment(EVIL, "mira", path=EVIL, line=3)
    mr.react(1, EVIL[:8], by="mira")
    mr.set_status(EVIL, "failed", EVIL, by="forge")
    desk.repository.react()
    return desk


class Outline(HTMLParser):
    """Which tags, attributes and headings there are, and whether tags are closed in order."""

    VOID = ("meta", "br", "hr", "img", "link", "input")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id"]
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


def test_what_somebody_wrote_is_text(desk):
    html = Page(desk.repository.merge_request(1), "/data/marts").document()
    outline = Outline(html)
    assert outline.open == []
    assert not outline.tags & {"script", "img", "iframe", "form", "link", "object", "base"}
    assert not {name for name in outline.attributes if name.startswith("on")} and "src" not in outline.attributes
    assert not re.search(r"href=\"(?!https?://|/)", html) and 'elsewhere.example/y.png" rel=' in html
    assert len(outline.ids) == len(set(outline.ids))
    assert "&lt;script&gt;alert(1)" in html and 'class="add">+ &lt;script&gt;' in html
    assert "<summary>Show Output</summary>" in html
    assert "a&lt;b&gt;&amp;&quot;c&#x27;.sql" in html


def test_a_fragment_for_a_notebook(desk):
    mr = desk.repository.merge_request(1)
    outline = Outline(mr._repr_html_())
    assert outline.open == [] and "html" not in outline.tags
    assert repr(mr).startswith("!1 <script>")


@pytest.mark.parametrize(
    "text",
    [
        "<details>", "</details></details>x", "<details><summary>a</summary>\n<details>\n\nb", "<details onclick=x>",
        "<summary>x</summary>", "```\n<details>\n```", "[a](javascript:x) [b](data:text/html,x) [c](vbscript:x) <javascript:x>",
        "# h1\n\n###### h6", "| a | <b> |\n|---|---|\n| c | <i> |", "<!-- x -->", "&lt;b&gt; &#60;script>", "![](x)", "[x]: javascript:y\n\n[x]",
        "a" * 5000 + "**" * 500, "> " * 300 + "x", "[" * 2000, "`" * 999,
    ],
)  # fmt: skip
def test_markdown_is_safe(text):
    html = render(text)
    outline = Outline(html)
    assert outline.open == [] and not outline.tags & {"script", "img", "b", "i", "h1", "h6"}
    assert not re.search(r"href=\"(?!https?://|mailto:)", html) and 'onclick="' not in html


def test_states_are_said_in_words(desk):
    html = desk.repository.merge_request(1)._repr_html_()
    for words in (
        "It cannot be merged yet",
        "to be resolved",
        "Approved by: nobody yet",
        "✗</span> failed",
        "added, binary or large",
    ):
        assert words in html
    mr = desk.repository.merge_request(1)
    assert "pipeline" in {one["name"] for one in mr.statuses()} and ">test ✓ success</a>" in Page(mr, "/x").document()


def test_a_large_merge_request_is_shown_in_part(tmp_path):
    desk = make_desk(tmp_path)
    files = {f"f{number:03}.sql": "x\n" * 60 for number in range(150)} | {
        "long.sql": "y" * 100_000 + "\n",
        "many.sql": "z\n" * 900,
    }
    desk.repository.commit("big", files, "Add many files", by="mira")
    html = desk.repository.create_merge_request("big", by="mira")._repr_html_()
    assert (
        "Changes in 152 files" in html
        and "52 more files are not shown here" in html
        and "more lines of this file" in html
    )
    assert len(html) < 1_000_000


# ---- the pages -------------------------------------------------------------------------------------------------------


def get(url: str, **headers: str) -> tuple[int, str, dict]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


def test_the_pages_are_there_and_the_push_links_to_them(desk):
    with Server(desk.forge) as server:
        desk.change("linked")
        said = desk.sh("git push origin linked")
        link = re.search(r"http://127\.0\.0\.1:\d+/\S+", said)[0]
        code, html, _ = get(link)
        assert code == 200 and "opslab mr create linked" in html
        code, html, headers = get(f"{server.url}/data/marts/-/merge_requests/1")
        assert code == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
        log = re.search(r'href="(/data/marts/-/pipelines/\d+/1)"', html)[1]
        code, html, _ = get(server.url + log)
        assert code == 200 and "&lt;script&gt;alert(3)&lt;/script&gt;\nJob succeeded" in html
        for path in ("/", "/data/marts/-/merge_requests"):
            code, html, _ = get(server.url + path)
            assert code == 200 and Outline(html).open == [] and 'href="/data/marts/-/merge_requests/1"' in html
        for path in (
            "/x/y",
            "/data/marts/-/merge_requests/99",
            "/data/marts/-/pipelines/1/99",
            "/../../etc/passwd",
            "/data/marts/-/x",
            "/%00",
        ):
            code, html, _ = get(server.url + path)
            assert code == 404 and "Not found" in html and "Traceback" not in html, path
        assert get(server.url, Host="evil.example:80")[0] == 403
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"POST / HTTP/1.0\r\nHost: 127.0.0.1:1\r\n\r\n")
            assert b" 501 " in raw.recv(100)
    assert desk.forge.settings["url"] == "https://forge.targ.example"
    desk.sh("git switch -q main")


# ---- the commit graph ------------------------------------------------------------------------------------------------


def parts(drawing) -> ElementTree.Element:
    return ElementTree.fromstring(drawing.svg)


NS = "{http://www.w3.org/2000/svg}"


def test_a_graph_of_branches_merges_and_labels(tmp_path):
    desk = make_desk(tmp_path)
    desk.sh("git tag v1 && git switch -qc a && git commit -q --allow-empty -m 'On a <b>' && git switch -q main")
    desk.sh(
        "git commit -q --allow-empty -m 'On main' && git merge -q --no-edit a && git tag -a v2 -m two && git switch -qc b v1"
    )
    desk.sh("git commit -q --allow-empty -m 'On b'")
    drawing = commit_graph(desk.clone)
    words = str(drawing)
    assert "On b  [HEAD → b]" in words and "Merge branch 'a'  [main, tag: v2]  (merge of " in words
    assert "Start of the repository  [origin/main, tag: v1]  (the first commit)" in words
    svg = parts(drawing)
    assert svg.find(f"{NS}desc").text == words and svg.get("role") == "img"
    circles = svg.findall(f"{NS}circle")
    assert len(circles) == 5 and sum("m" in circle.get("class").split() for circle in circles) == 1
    assert len({(circle.get("cx"), circle.get("cy")) for circle in circles}) == 5
    assert len(svg.findall(f"{NS}path")) == 5, "one line for each parent"
    assert len({circle.get("cx") for circle in circles}) == 3, "three lines of history side by side"
    assert "On a &lt;b&gt;" in drawing.svg
    assert commit_graph(desk.clone).svg == drawing.svg, "the same repository gives the same picture"
    (desk.clone / "folder").mkdir()
    assert str(commit_graph(desk.clone / "folder")) == words
    desk.sh("git checkout -q --detach")
    assert "[HEAD (detached), b]" in str(commit_graph(desk.clone))
    assert "HEAD" not in str(commit_graph(desk.repository.folder)) and "[main]" in str(
        commit_graph(desk.repository.folder)
    )


def test_lines_lead_from_each_commit_to_its_parents(tmp_path):
    """Every line begins at its commit and ends at the parent, whatever way it takes."""
    desk = make_desk(tmp_path)
    for branch in "abc":
        desk.sh(
            f"git switch -qc {branch} main && git commit -q --allow-empty -m 1{branch} && git commit -q --allow-empty -m 2{branch}"
        )
    desk.sh(
        "git switch -q main && git merge -q --no-edit a b && git switch -q c && git merge -q --no-edit main && git merge -q --no-ff --no-edit main~1 || true"
    )
    svg = parts(commit_graph(desk.clone))
    at = {(int(circle.get("cx")), int(circle.get("cy"))) for circle in svg.findall(f"{NS}circle")}
    for path in svg.findall(f"{NS}path"):
        numbers = [int(number) for number in re.findall(r"-?\d+", path.get("d"))]
        assert tuple(numbers[:2]) in at and tuple(numbers[-2:]) in at and numbers[1] < numbers[-1]


def test_a_long_history_is_summarised_and_an_empty_one_is_said(tmp_path):
    desk = make_desk(tmp_path)
    desk.sh('for n in $(seq 80); do git commit -q --allow-empty -m "Number $n"; done')
    drawing = commit_graph(desk.clone, limit=20)
    assert str(drawing).endswith("… and 61 older commits") and len(parts(drawing).findall(f"{NS}circle")) == 20
    desk.sh("git init -q ../fresh")
    assert str(commit_graph(desk.home / "fresh")) == "There are no commits yet."
    parts(commit_graph(desk.home / "fresh"))
    (tmp_path / "none").mkdir()
    for folder in (tmp_path / "none", tmp_path / "nowhere"):
        with pytest.raises(ValueError, match="no git repository|no folder"):
            commit_graph(folder)


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", COLOURS)
def test_lines_can_be_seen_in_both_themes(colour):
    for ground in ("#ffffff", "#111111", "#16181c"):
        lighter, darker = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, ground


# ---- in a browser ----------------------------------------------------------------------------------------------------

CONTRAST = """
() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour, below) => {
    canvas.fillStyle = below; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return `rgb(${r}, ${g}, ${b})`;
  };
  const light = colour => {
    const [r, g, b] = colour.match(/\\d+/g).map(n => n / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length || element.closest('svg, style')) continue;
    const above = [];
    for (let at = element; at; at = at.parentElement) above.unshift(getComputedStyle(at).backgroundColor);
    const ground = above.reduce((below, colour) => rgba(colour, below), 'rgb(255, 255, 255)');
    const text = rgba(getComputedStyle(element).color, ground);
    const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName} ${element.className} ${text} on ${ground}: ${ratio.toFixed(2)}`);
  }
  return found;
}
"""


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(bool(os.environ.get("OPSLAB_NO_BROWSER")), reason="OPSLAB_NO_BROWSER is set")
@pytest.mark.parametrize(("dark", "width"), [(False, 1200), (True, 420)])
def test_in_a_browser_the_page_is_readable_and_runs_nothing(desk, dark, width):
    with (
        Server(desk.forge) as server,
        browser.opened(f"{server.url}/data/marts/-/merge_requests/1", width=width, dark=dark) as (page, log),
    ):
        alerts = []
        page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        page.evaluate("() => document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "no scrolling sideways"
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") is not dark
        headings = page.evaluate("() => [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
        assert headings[0] in (1, 2) and headings.count(headings[0]) == 1
        assert page.evaluate("() => document.documentElement.lang") == "en" and page.locator("main").count() == 1
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.tagName") == "A"
        assert page.locator("svg.opslab-commits circle").count() >= 3
        page.click("nav a >> nth=1")
        page.wait_for_selector("h1:has-text('Merge requests')")
        assert alerts == [] and log.errors == [] and log.elsewhere() == []
