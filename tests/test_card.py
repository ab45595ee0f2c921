"""The card: what it says is text, whatever is in it; readable in any theme, without colours, without sight."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from opslab import card, server
from opslab.card import Card, Note, Table, for_terminal, screen

NASTY = "</pre></dd><script>alert('x')</script><img src=x onerror=\"alert(1)\"> & <b>'\"&amp;"


def result(state: str = "missed", **more) -> dict:
    return {
        "id": "one",
        "title": "it holds",
        "points": 0.5,
        "state": state,
        "say": "It does not.",
        "tried": "look",
        "got": "nothing",
        "wanted": "something",
        "name": "missing",
        **more,
    }


def report(*results: dict, **more) -> dict:
    score = sum(one["points"] for one in results if one["state"] == "met")
    points = sum(one["points"] for one in results)
    return {
        "task": "1.2",
        "title": "Which partner feed is late?",
        "score": score,
        "points": points,
        "done": score == points,
        "hints": 4,
        "results": list(results),
        **more,
    }


STATES = report(*(result(state, title=f"a point that is {state}") for state in ("met", "missed", "waiting", "fault")))
ROW = {"id": "1.2", "title": "Late?", "score": 1.5, "points": 4, "note": "3 tries, 1 hint"}

CARDS = {
    "card": Card(STATES),
    "done": Card(report(result("met"))),
    "nasty": Card(report(*(result(state, title=NASTY, say=NASTY, tried=NASTY, got=NASTY, wanted=NASTY) for state in card.SIGNS), title=NASTY, task=NASTY)),
    "note": Note("A heading", "one line", NASTY),
    "nasty note": Note(NASTY, NASTY, kind="open"),
    "table": Table("Your progress", [ROW, {**ROW, "id": NASTY, "title": NASTY, "note": NASTY}], "Small steps count."),
    "nasty table": Table(NASTY, [], NASTY),
    "picture": screen("$ ls", '<span style="color:#ff7b72">$</span> ls &lt;'),
}  # fmt: skip

VOID = {"img", "br", "hr", "meta", "link", "input"}
# https://html.spec.whatwg.org/multipage/grouping-content.html#the-p-element: these would close an open <p>.
NOT_IN_P = {"p", "ul", "dl", "div", "section", "pre", "table", "h1", "h2", "h3"}
PARENTS = {"li": {"ul"}, "dt": {"dl"}, "dd": {"dl"}, "tr": {"table"}, "td": {"tr"}, "th": {"tr"}}


class Outline(HTMLParser):
    """Reads HTML strictly: every element closed where it was opened, nothing where it may not be."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict]] = []
        self.seen: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"twice the same attribute: {attributes}"
        if tag in NOT_IN_P:
            assert "p" not in [name for name, _ in self.open], f"<{tag}> inside <p>"
        if tag in PARENTS:
            assert self.open[-1][0] in PARENTS[tag], f"<{tag}> in <{self.open[-1][0]}>"
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if not self.open or self.open[-1][0] != "style":
            self.texts.append(data)


@pytest.fixture(params=CARDS, name="any_card")
def every_card(request):
    return CARDS[request.param]


# ---- HTML -----------------------------------------------------------------------------------------------------------


def test_the_html_is_well_formed(any_card):
    Outline(any_card._repr_html_())


def test_what_a_learner_wrote_never_becomes_markup(any_card):
    outline = Outline(any_card._repr_html_())
    assert {tag for tag, _ in outline.seen} <= {
        "style", "section", "p", "ul", "li", "span", "dl", "dt", "dd", "pre", "table", "tr", "th", "td",
    }  # fmt: skip
    for _, attributes in outline.seen:
        assert attributes.keys() <= {"class", "role", "aria-label", "style", "scope"}


@pytest.mark.parametrize("name", ["nasty", "nasty note", "table", "nasty table"])
def test_and_it_is_still_there_word_for_word(name):
    assert NASTY in "".join(Outline(CARDS[name]._repr_html_()).texts)


def test_each_state_is_said_in_words(any_card):
    outline = Outline(CARDS["card"]._repr_html_())
    said = [attributes["aria-label"] for _, attributes in outline.seen if attributes.get("class") == "sign"]
    assert said == [card.WORDS[state] for state in ("met", "missed", "waiting", "fault")]
    assert len(set(card.WORDS.values())) == len(set(card.SIGNS.values())) == 4
    for _, attributes in Outline(any_card._repr_html_()).seen:
        if attributes.get("role") == "img":
            assert attributes["aria-label"].strip()


def test_each_card_has_a_name_for_screen_readers(any_card):
    tag, attributes = next(entry for entry in Outline(any_card._repr_html_()).seen if entry[0] != "style")
    assert attributes["aria-label"].strip()
    assert tag in ("section", "pre")


def test_nothing_in_a_card_needs_a_mouse():
    assert ":hover" not in card.STYLE


def test_a_task_without_points_has_an_empty_bar():
    assert f"{'·' * 10}      0/0" in str(Table("Progress", [{**ROW, "score": 0, "points": 0}]))


def test_a_bar_says_its_share_in_words():
    outline = Outline(Table("Progress", [ROW, {**ROW, "score": 0}, {**ROW, "points": 0}])._repr_html_())
    said = [attributes["aria-label"] for _, attributes in outline.seen if attributes.get("class") == "bar"]
    assert said == ["38 percent", "0 percent", "0 percent"]


def test_table_headings_are_marked_as_such():
    outline = Outline(CARDS["table"]._repr_html_())
    scopes = [attributes.get("scope") for tag, attributes in outline.seen if tag == "th"]
    assert set(scopes) == {"row", "col"}


# ---- colours --------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, two: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(two)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def themes() -> dict[str, dict[str, str]]:
    """The variables of JupyterLab's own themes; and none, as in a page that defines none."""
    folder = Path(sys.prefix, "share/jupyter/lab/themes/@jupyterlab")
    found = {"none": {}}
    for name in ("light", "dark"):
        css = (folder / f"theme-{name}-extension/index.css").read_text()
        found[name] = dict(re.findall(r"(--jp-[a-z0-9-]+):([^;}]+)", css))
        assert "--jp-content-font-color1" in found[name]
    return found


THEMES = themes()
NAMED = {"white": "#fff", "black": "#000"}


def colour(variable: str, selector: str, theme: str, ground: str = "#fff") -> str:
    """The colour that a rule of the card gives in a theme, as it is on a ground: `color` of `.opslab pre`, say."""
    rule = re.search(rf"^{re.escape(selector)} \{{([^}}]*)\}}", card.STYLE, flags=re.MULTILINE)[1]
    name, value = re.search(rf"(?:^|[\s;]){variable}: var\((--jp-[a-z0-9-]+), ([^)]+)\)", rule).groups()
    value = THEMES[theme].get(name, value)
    value = re.sub(r"var\(--[a-z0-9-]+,\s*(#[0-9a-f]+)\)", r"\1", value)
    value = NAMED.get(value, value)
    if over := re.fullmatch(r"rgba\((\d+),(\d+),(\d+),([\d.]+)\)", value):
        share, behind = float(over[4]), (int(ground[at : at + 2], 16) for at in (1, 3, 5))
        front = (int(over[number]) for number in (1, 2, 3))
        return "#" + "".join(f"{round(f * share + b * (1 - share)):02x}" for f, b in zip(front, behind, strict=True))
    assert re.fullmatch(r"#([0-9a-f]{3}){1,2}", value), value
    return value if len(value) == 7 else "#" + "".join(2 * digit for digit in value[1:])


def test_the_measure_of_contrast_is_right():
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("selector", [".opslab", ".opslab .points", ".opslab .waiting", ".opslab dt", ".opslab pre"])
def test_text_stands_out_from_its_ground(selector, theme):
    ground = colour("background", ".opslab pre" if selector == ".opslab pre" else ".opslab", theme)
    assert contrast(colour("color", selector, theme, ground), ground) >= 4.5


def test_nothing_is_made_fainter_than_its_colour():
    assert "opacity" not in card.STYLE


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", ["done", "open"])
def test_the_edge_of_a_card_is_seen(kind, theme):
    assert contrast(colour("border-left-color", f".opslab.{kind}", theme), colour("background", ".opslab", theme)) >= 3


def test_a_terminal_is_readable_in_its_colours():
    ground, plain = re.search(r"background:(#[0-9a-f]+);color:(#[0-9a-f]+)", CARDS["picture"]._repr_html_()).groups()
    for name, shown in {**server.PALETTE, "plain": plain}.items():
        if name not in ("black", "default"):
            assert contrast(shown, ground) >= 4.5, name


# ---- text -----------------------------------------------------------------------------------------------------------


def test_a_card_as_text():
    more = result("missed", title="more", tried="a\nb", got="", wanted="c")
    assert (
        str(
            Card(
                report(
                    result("met"),
                    more,
                    result("waiting", title="last", say="later"),
                    result("fault", points=0, tried="", got="", wanted=""),
                )
            )
        )
        == """\
1.2 · Which partner feed is late?: 0.5 of 1.5 points
  ✓ it holds (0.5)
  ✗ more (0.5)
      It does not.
      tried:    a
                b
      expected: c
  … last (0.5)
  ! it holds
      It does not.
Stuck? opslab.hint("1.2") gives one hint at a time."""
    )


def test_a_finished_card_offers_no_hint():
    assert (
        str(Card(report(result("met"))))
        == "1.2 · Which partner feed is late?: 0.5 of 0.5 points\n  ✓ it holds (0.5)\nAll of it holds. Well done."
    )
    assert 'class="opslab done ' in Card(report(result("met")))._repr_html_()
    assert 'class="opslab open ' in Card(report(result("missed")))._repr_html_()


def test_a_task_without_hints_promises_none():
    assert "hint" not in str(Card(report(result("missed"), hints=0)))


def test_a_note_and_a_table_as_text():
    assert str(Note("Heading", "one", "two")) == "Heading\n  one\n  two"
    rows = [ROW, {**ROW, "id": "1.10", "title": "A longer title", "score": 4, "note": ""}]
    assert (
        str(Table("Your progress", rows, "Small steps count."))
        == """\
Your progress
  1.2  Late?           ████······    1.5/4  3 tries, 1 hint
  1.10 A longer title  ██████████      4/4
Small steps count."""
    )


def test_a_card_shows_as_its_text_in_a_console(any_card):
    assert repr(any_card) == str(any_card)


@pytest.mark.parametrize(("points", "shown"), [(4, "4"), (2.5, "2.5"), (0.1 + 0.2, "0.3"), (20.0, "20"), (0, "0")])
def test_points_are_written_as_people_do(points, shown):
    assert card.number(points) == shown


def test_a_terminal_is_told_what_to_type_there():
    said = 'Stuck? opslab.hint("1.2") helps. Run this first: opslab.open("01")'
    assert for_terminal(said) == "Stuck? opslab hint 1.2 helps. Run this first: opslab shell 01"


def test_a_narrow_terminal_breaks_lines_between_words_and_keeps_the_indent():
    text = "heading\n    a sentence that is too long for it"
    assert for_terminal(text, 24) == "heading\n    a sentence that is\n    too long for it"


def test_no_card_is_read_as_a_formula():
    cards = [Card(report(result("missed", say="write $1 or $2"))), Note("a $ and a $"), Table("a $ and a $", [])]
    for shown in cards:
        # The classes that MathJax 3 (JupyterLab) and 2 (nbconvert) leave alone.
        assert re.search(r'<section class="opslab \w+ mathjax_ignore tex2jax_ignore"', shown._repr_html_())
