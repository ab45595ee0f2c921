"""Pictures of the pipeline: the grid of runs, row counts over time, a day beside its band.

    >>> view = run_grid(flow.records.latest())
    >>> print(view)                              # the same in letters
    >>> view                                     # in a notebook: the picture

Each says what it says three times: by colour, by sign or hatch, and in words; a screen reader gets the text. The pictures are
SVG by matplotlib, and the same data gives the same bytes, so a lesson's outputs can be compared.

A view is made from plain rows (dictionaries, Series), so it shows the records of `flow`, runs of Airflow and tables of a
notebook alike. matplotlib takes a second to import, so a notebook's kernel should not do it for nothing: it is imported here only
when something is drawn.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREEN, RED, GREY, BLUE, ORANGE = "#b7dfb9", "#f2b8b5", "#e4e4e4", "#1f5fa8", "#b35900"
INK = "#1f1f1f"
STATES = {
    # state: (sign, in words, colour, hatch)
    "success": ("✓", "success", GREEN, ""),
    "failed": ("✗", "failed", RED, "///"),
    "upstream_failed": ("⊘", "not run, because an earlier step failed", GREY, "xx"),
    "skipped": ("»", "skipped", GREY, ""),
    "running": ("…", "running", GREY, ".."),
    "none": ("·", "not run", "#ffffff", ""),
}
LINES = (("o", "-"), ("s", "--"), ("^", "-."), ("D", ":"), ("v", "-"), ("P", "--"), ("X", "-."), ("*", ":"))
"""Marker and line of each series, so that they can be told apart in grey."""

STYLE = {
    "svg.hashsalt": "opslab",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "hatch.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
}


@dataclass(frozen=True)
class View:
    """A picture: `svg`, and the same in letters."""

    title: str
    text: str
    svg: str

    def __str__(self) -> str:
        return f"{self.title}\n{self.text}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return (
            f'<figure style="margin:.4em 0;max-width:60em"><div role="img" aria-label="{escape(self.title, quote=True)}">{self.svg}</div>'
            f"<details><summary>The same as text</summary><pre>{escape(str(self))}</pre></details></figure>"
        )


STEPS = ("Airflow", "stage", "clean", "mart")
"""What a pipeline does, in this order; the run as a whole first. Other steps stand below."""


def run_grid(steps: Iterable[Mapping[str, Any]], title: str = "Runs") -> View:
    """Days from left to right, steps from top to bottom; each cell says how the step ended and how many rows came out.

    steps: with day, step, subject (may be missing), status, rows_out (may be None): the rows of `Records.latest`.
    """
    cells: dict[tuple[str, str], tuple[str, int | None]] = {}
    names: dict[str, None] = {}
    for one in steps:
        name = " ".join(filter(None, (one["step"], one.get("subject", ""))))
        names[name] = None
        cells[name, str(one["day"])] = (str(one["status"]), one.get("rows_out"))
    # A step that was run again is told of last, and still belongs where it was.
    order = {step: at for at, step in enumerate(STEPS)}
    names = dict.fromkeys(sorted(names, key=lambda name: order.get(name.partition(" ")[0], len(STEPS))))
    days = sorted({day for _, day in cells})
    words = {
        (name, day): _cell(*cells.get((name, day), ("none", None))) for name in names for day in days
    }  # fmt: skip
    text = _table([[""] + [day[5:] for day in days]] + [[name] + [words[name, day] for day in days] for name in names])
    signs = sorted(
        {cells.get((name, day), ("none", None))[0] for name in names for day in days}, key=list(STATES).index
    )
    legend = ", ".join(f"{STATES[state][0]} {STATES[state][1]}" for state in signs)

    with _style() as figure_of:
        width = max(2.5 + 0.75 * len(days), 5)
        figure = figure_of(width, 0.9 + 0.34 * len(names))
        axes = figure.add_subplot()
        for y, name in enumerate(names):
            for x, day in enumerate(days):
                state, _ = cells.get((name, day), ("none", None))
                _, _, colour, hatch = STATES.get(state, STATES["none"])
                axes.bar(x, 0.9, 0.94, y - 0.45, color=colour, edgecolor="#777777", linewidth=0.6, hatch=hatch)
                plain = {"facecolor": "white", "edgecolor": "none", "pad": 0.6} if hatch else None
                axes.text(x, y, words[name, day], ha="center", va="center", fontsize=8, bbox=plain)
        axes.set_xticks(range(len(days)), [day[5:] for day in days], fontsize=8)
        axes.set_yticks(range(len(names)), list(names), fontsize=8)
        axes.set_xlim(-0.5, max(len(days), 1) - 0.5)
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set_title(f"{title}   ({legend})", loc="left", fontsize=9)
        return View(title, f"{text}\n{legend}", _svg(figure))


def row_counts(counts: pd.DataFrame, title: str = "Rows a day", marked: Mapping[str, str] | None = None) -> View:
    """Lines over time. counts: one row for each day (a date index), one column for each table or step.

    marked: days with a word to be written at them: {"2026-11-16": "0 rows"}.
    """
    counts = counts.sort_index()
    days = pd.to_datetime(counts.index)
    rows = [["day", *map(str, counts.columns), ""]]
    for day, index in zip(days, counts.index, strict=True):
        word = (marked or {}).get(f"{day:%Y-%m-%d}", "")
        rows.append([f"{day:%Y-%m-%d}", *map(_number, counts.loc[index]), f"← {word}" if word else ""])

    with _style() as figure_of:
        figure = figure_of(7.5, 3.0)
        axes = figure.add_subplot()
        for weekend in days[days.day_of_week > 4]:
            half = pd.Timedelta(hours=12)
            axes.axvspan(weekend - half, weekend + half, color="#f0f0f0", linewidth=0)
        for number, column in enumerate(counts.columns):
            marker, line = LINES[number % len(LINES)]
            colour = (BLUE, ORANGE, "#444444", "#7b3f98")[number % 4]
            values = counts[column].astype(float)
            axes.plot(
                days,
                values,
                marker=marker,
                linestyle=line,
                color=colour,
                markersize=4,
                linewidth=1.2,
                label=str(column),
            )
        for day, word in (marked or {}).items():
            top = counts.loc[[day == f"{one:%Y-%m-%d}" for one in days]].max().max()
            axes.annotate(
                word,
                (pd.Timestamp(day), top),
                (0, 9),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )
        axes.set_ylim(bottom=0)
        axes.margins(y=0.18)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        shown = days[:: max(len(days) // 8, 1)]
        axes.set_xticks(shown, [f"{day:%m-%d}" for day in shown])
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        if len(counts.columns) > 1:
            axes.legend(fontsize=8, frameon=False, ncols=4, loc="upper left")
        axes.set_title(f"{title}   (weekends are grey)", loc="left", fontsize=9)
        return View(title, _table(rows), _svg(figure))


def against_band(
    history: Mapping[str, Sequence[float]],
    today: Mapping[str, float],
    title: str = "A day beside the days before",
    room: float = 0.0,
) -> View:
    """Each measure of a day beside the range that it had on good days. A value outside has a cross and says on which side.

    history: for each measure its values on good days. today: the values of the day. room: by which share of a range it may
    be left before that is told.
    """
    measures = [name for name in today if name in history and len(history[name])]
    rows, places = [["", "measure", "today", "usual"]], []
    for name in measures:
        low, high, value = min(history[name]), max(history[name]), float(today[name])
        width = (high - low) or abs(high) * 0.1 or 1e-9
        place = (value - low) / width if math.isfinite(value) else math.nan
        side = "below" if place < -room else "above" if place > 1 + room else "no value" if math.isnan(place) else ""
        places.append((place, side))
        sign = "✗" if side else "✓"
        rows.append([f"{sign} {side}".strip(), name, _number(value), f"{_number(low)} to {_number(high)}"])

    with _style() as figure_of:
        figure = figure_of(7.5, 0.8 + 0.32 * max(len(measures), 1))
        axes = figure.add_subplot()
        for y, (name, (place, side)) in enumerate(zip(measures, places, strict=True)):
            axes.barh(y, 1, 0.5, 0, color="#d6e4f5", edgecolor="#6b8fb8", linewidth=0.6)
            if not math.isnan(place):
                axes.plot(min(max(place, -0.9), 1.9), y, marker="X" if side else "o", color=RED if side else BLUE,
                          markeredgecolor=INK, markeredgewidth=0.8, markersize=9 if side else 6)  # fmt: skip
            word = f"{rows[y + 1][2]}  ({rows[y + 1][3]}){f'  ✗ {side}' if side else ''}"
            axes.text(2.05, y, word, va="center", fontsize=8, fontweight="bold" if side else "normal")
            axes.text(-1.0, y, name, va="center", ha="right", fontsize=8)
        axes.set_xlim(-1, 2)
        axes.set_ylim(max(len(measures), 1) - 0.5, -0.5)
        axes.set_xticks([0, 1], ["lowest", "highest"], fontsize=8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        figure.suptitle(f"{title}   (● inside, ✗ outside of what good days had)", x=0.01, ha="left", fontsize=9)
        return View(title, _table(rows), _svg(figure))


# ---- what they share -----------------------------------------------------------------------------------------------------


class _style:
    """matplotlib with our settings, as long as a block runs; gives a function that makes a figure of so many inches."""

    def __enter__(self):
        import matplotlib
        from matplotlib.figure import Figure

        self._context = matplotlib.rc_context(STYLE)
        self._context.__enter__()
        return lambda width, height: Figure(figsize=(width, height), layout="constrained", facecolor="white")

    def __exit__(self, *problem: object) -> None:
        self._context.__exit__(*problem)


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :]


def _cell(status: str, rows: int | None) -> str:
    sign = STATES.get(status, STATES["none"])[0]
    return f"{sign} {rows:,}" if rows is not None else sign


def _number(value: float) -> str:
    """A number as people read it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _table(rows: list[list[str]]) -> str:
    """Columns under each other: the first to the left, the others to the right, where they are numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
