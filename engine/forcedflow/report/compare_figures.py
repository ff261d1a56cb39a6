"""Figures of a comparison as inline SVG: heatmaps with their plateau, parallel coordinates, what a parameter does.

They take plain values, as ``forcedflow compare --json`` prints them; what a user named is escaped.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.report.svg import axis, figure, line, number, round_steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BEST", "PLATEAU", "fold_figure", "heatmap_figure", "outline", "parallel_figure", "response", "value_text"]

PLATEAU: Final = "var(--good)"
BEST: Final = "var(--warn)"
"""The best point's colour: the one to distrust."""

_WIDE: Final = 420.0
_LEFT: Final = 58.0
_TALL: Final = 204.0  # so that heatmaps side by side are equally high
_FITS: Final = 12  # columns in which a number has room
_APART: Final = 17.0  # of labels on an upright axis


def value_text(value: object) -> str:
    """Return a setting's value."""
    return f"{value:.6g}".replace("-", "−") if isinstance(value, float) else str(value)


def heatmap_figure(picture: Mapping[str, Any], score: str) -> str:
    """Draw scores over two parameters: the plateau's cells framed, its middle and the best point marked."""
    xs, ys, rows = picture["xs"], picture["ys"], picture["scores"]
    cells = np.array([[math.nan if v is None else v for v in row] for row in rows], dtype=np.float64)
    known = cells[np.isfinite(cells)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    wide = (_WIDE - _LEFT - 4.0) / len(xs)
    tall = min(max(_TALL / len(ys), 9.0), 68.0)
    bottom = 20.0 + tall * len(ys)
    better = axis(high, low, 0.0, 1.0) if score.startswith("-") else axis(low, high, 0.0, 1.0)
    drawn = []
    for j in range(len(ys)):
        for i in range(len(xs)):
            left, up = _LEFT + i * wide, bottom - (j + 1) * tall  # ascending upwards
            share = float(better(cells[j, i])) if high > low else 1.0
            title = f"{picture['x']} {value_text(xs[i])}, {picture['y']} {value_text(ys[j])}: {_told(cells[j, i])}"
            fill = (
                f"color-mix(in srgb, var(--accent) {2 + 46 * share:.0f}%, var(--card))"
                if math.isfinite(cells[j, i])
                else "var(--faint)"
            )
            drawn.append(
                f'<rect x="{left + 0.5:.1f}" y="{up + 0.5:.1f}" width="{wide - 1:.1f}" height="{tall - 1:.1f}" '
                f'fill="{fill}"><title>{escape(title)}</title></rect>'
            )
            if len(xs) <= _FITS and tall >= 14.0:
                drawn.append(
                    f'<text x="{left + wide / 2:.1f}" y="{up + tall / 2 + 4:.1f}" text-anchor="middle" '
                    f'fill="var(--text)" pointer-events="none">{_brief(cells[j, i])}</text>'
                )

    def place(cell: Sequence[int]) -> tuple[float, float]:
        return _LEFT + cell[1] * wide, bottom - (cell[0] + 1) * tall

    edges = "".join(
        f"M{_LEFT + a * wide:.1f} {bottom - b * tall:.1f}L{_LEFT + c * wide:.1f} {bottom - d * tall:.1f}"
        for (a, b), (c, d) in outline({(cell[0], cell[1]) for cell in picture["around"]})
    )
    drawn.append(f'<path d="{edges}" stroke="{PLATEAU}" stroke-width="2.5" stroke-linecap="square" fill="none"/>')
    for cell, colour, shape in ((picture["plateau"], PLATEAU, "square"), (picture["best"], BEST, "circle")):
        if cell is not None:
            left, up = place(cell)
            drawn.append(_mark(left + (7.0 if shape == "square" else wide - 7.0), up + 7.0, colour, shape))
    ticks = _x_labels(xs, wide, bottom + 14.0) + _y_labels(ys, tall, bottom)
    names = (
        f'<text x="{_LEFT:g}" y="12" fill="var(--text)">↑ {escape(picture["y"])}</text>'
        f'<text x="{_WIDE - 4:g}" y="{bottom + 29:.1f}" text-anchor="end" fill="var(--text)">'
        f"{escape(picture['x'])} →</text>"
    )
    said = (
        f"Mean {score} over {picture['x']} across and {picture['y']} up, from {_told(low)} to {_told(high)}; the frame "
        f"is the plateau around the best neighbourhood, {len(picture['around'])} of {cells.size} cells"
    )
    return figure(said, _WIDE, bottom + 34.0, "".join(drawn) + ticks + names)


def outline(cells: set[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the border of some cells (row, column) as edges between corners (across, up), rows counted upwards."""
    edges = []
    for row, column in sorted(cells):
        sides = (
            ((row + 1, column), ((column, row + 1), (column + 1, row + 1))),
            ((row - 1, column), ((column, row), (column + 1, row))),
            ((row, column - 1), ((column, row), (column, row + 1))),
            ((row, column + 1), ((column + 1, row), (column + 1, row + 1))),
        )
        edges += [edge for near, edge in sides if near not in cells]
    return edges


def _mark(x: float, y: float, colour: str, shape: str) -> str:
    outline = f'fill="{colour}" stroke="var(--card)" stroke-width="1.5"'
    if shape == "square":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" {outline}/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.6" {outline}/>'


def _x_labels(values: Sequence[Any], wide: float, y: float) -> str:
    every = max(1, math.ceil(max(len(value_text(v)) for v in values) * 6.4 / wide))
    return "".join(
        f'<text x="{_LEFT + (i + 0.5) * wide:.1f}" y="{y:.1f}" text-anchor="middle">'
        f"{escape(_short(value_text(v)))}</text>"
        for i, v in enumerate(values)
        if i % every == 0
    )


def _y_labels(values: Sequence[Any], tall: float, bottom: float) -> str:
    every = max(1, math.ceil(12.0 / tall))
    return "".join(
        f'<text x="{_LEFT - 6:g}" y="{bottom - (j + 0.5) * tall + 4:.1f}" text-anchor="end">'
        f"{escape(_short(value_text(v)))}</text>"
        for j, v in enumerate(values)
        if j % every == 0
    )


def parallel_figure(drawn: Mapping[str, Any], score: str, best: int | None, plateau: int | None) -> str:
    """Draw each setting as a line over its parameters to its score; better ones are stronger."""
    scales, scores = drawn["scales"], np.array(drawn["scores"], dtype=np.float64)
    wide = max(640.0, 110.0 * (len(scales) + 1))
    low, high = float(scores.min()), float(scores.max())
    top, bottom = 34.0, 276.0
    at = [56.0 + k * (wide - 112.0) / len(scales) for k in range(len(scales) + 1)]
    y = axis(0.0, 1.0, bottom, top)
    good = (scores - low) / ((high - low) or 1.0)
    worth = 1.0 - good if score.startswith("-") else good
    places = np.column_stack([np.array(drawn["places"], dtype=np.float64).reshape(len(scores), len(scales)), good])
    order = sorted(range(len(scores)), key=lambda k: (drawn["settings"][k] in {best, plateau}, worth[k]))
    lines = []
    for k in order:
        setting = drawn["settings"][k]
        chosen = setting in {best, plateau}
        colour = PLATEAU if setting == plateau else BEST if setting == best else "var(--accent)"
        said = ", ".join(f"{name} {value_text(v)}" for name, v in drawn["points"][k].items())
        lines.append(
            f'<polyline data-setting="{setting}" points="{line(np.array(at), y(places[k]))}" fill="none" '
            f'stroke="{colour}" stroke-width="{2.6 if chosen else 1.2}" '
            f'stroke-opacity="{1.0 if chosen else 0.08 + 0.5 * worth[k] ** 2:.2f}">'
            f"<title>{escape(said)}: {_told(scores[k])}</title></polyline>"
        )
    named = [(s["name"], s["ticks"], s["places"]) for s in scales]
    steps = round_steps(low, high)
    named.append((score.removeprefix("-"), steps, [(v - low) / ((high - low) or 1.0) for v in steps]))
    axes = "".join(_upright(x, *each, y) for x, each in zip(at, named, strict=True))
    names = ", ".join(s["name"] for s in scales)
    label = f"{len(scores)} settings as lines over {names} to their {score}, from {_told(low)} to {_told(high)}"
    return figure(label, wide, 300.0, "".join(lines) + axes)


def _upright(x: float, name: str, ticks: Sequence[Any], places: Sequence[float], y: Any) -> str:
    """Draw an axis, its labels on plates that no line crosses, as many as have room."""
    labels, free = [], math.inf
    for value, place in sorted(zip(ticks, places, strict=True), key=lambda tick: tick[1]):
        if y(place) > free:
            continue
        free = y(place) - _APART
        text = _short(number(value) if isinstance(value, float) else str(value))
        wide = 6.4 * len(text) + 6.0
        labels.append(
            f'<rect x="{x + 5.0:.1f}" y="{y(place) - 7.5:.1f}" width="{wide:.1f}" '
            f'height="15" rx="3" fill="var(--card)"/><path d="M{x - 3:.1f} {y(place):.1f}h6" stroke="var(--muted)"/>'
            f'<text x="{x + 5.0 + wide / 2.0:.1f}" y="{y(place) + 4:.1f}" text-anchor="middle" '
            f'fill="var(--text)">{escape(text)}</text>'
        )
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(0.0):.1f}" y2="{y(1.0):.1f}" stroke="var(--muted)"/>{"".join(labels)}'
        f'<text x="{x:.1f}" y="16" text-anchor="middle" fill="var(--text)" font-weight="600">'
        f"{escape(_short(name, 17))}</text>"
    )


def response(each: Mapping[str, Any]) -> str:
    """Draw the mean score at each value of a parameter, small."""
    means = np.array([math.nan if v is None else v for v in each["means"]], dtype=np.float64)
    known = np.isfinite(means)
    if not known.any():
        return ""
    x = axis(0.0, max(len(means) - 1, 1), 5.0, 175.0)(np.arange(len(means), dtype=np.float64))
    y = axis(float(means[known].min()), float(means[known].max()), 25.0, 5.0)(means)
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.6"><title>{escape(value_text(v))}: {_told(m)}</title></circle>'
        for a, b, v, m in zip(x.tolist(), y.tolist(), each["values"], means.tolist(), strict=True)
        if math.isfinite(m)
    )
    ends = f"{value_text(each['values'][0])} to {value_text(each['values'][-1])}"
    return (
        f'<svg class="response" viewBox="0 0 180 30" role="img" aria-label="{escape(f"Mean score over {ends}")}" '
        f'fill="var(--accent)"><polyline points="{line(x, y)}" fill="none" stroke="var(--accent)" stroke-width="1.5"/>'
        f"{dots}</svg>"
    )


def fold_figure(folds: Sequence[Mapping[str, Any]], score: str) -> str:
    """Draw each fold's score in training and in its test, joined by a line."""
    known = [v for f in folds for v in (f["train_score"], f["test_score"]) if v is not None]
    if not known:
        return '<p class="muted">No fold had a score.</p>'
    low, high = min(0.0, *known), max(0.0, *known)
    room = 0.08 * (high - low) or 1.0
    y = axis(low - room, high + room, 270.0, 24.0)
    slot = 570.0 / len(folds)
    drawn = [
        f'<line x1="50" x2="630" y1="{y(0.0):.1f}" y2="{y(0.0):.1f}" stroke="var(--muted)"/>'
        f'<text x="44" y="{y(0.0) + 4:.1f}" text-anchor="end">0</text>'
    ]
    drawn += [
        f'<text x="44" y="{y(v) + 4:.1f}" text-anchor="end">{number(v)}</text>'
        for v in (low, high)
        if abs(y(v) - y(0.0)) > 14.0
    ]
    for k, fold in enumerate(folds):
        x, train, test = 50.0 + (k + 0.5) * slot, fold["train_score"], fold["test_score"]
        if train is not None and test is not None:
            tone = "good" if test >= 0.0 else "bad"
            drawn.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(train):.1f}" y2="{y(test):.1f}" stroke="var(--{tone})" '
                'stroke-opacity=".5" stroke-width="2"/>'
            )
        if train is not None:
            drawn.append(
                f'<circle cx="{x:.1f}" cy="{y(train):.1f}" r="5" fill="var(--card)" stroke="var(--text)" '
                f'stroke-width="1.5"><title>fold {k + 1}, in training: {_told(train)}</title></circle>'
            )
        if test is not None:
            drawn.append(
                f'<circle cx="{x:.1f}" cy="{y(test):.1f}" r="5" fill="var(--{"good" if test >= 0.0 else "bad"})">'
                f"<title>fold {k + 1}, in its test: {_told(test)}</title></circle>"
            )
        drawn.append(f'<text x="{x:.1f}" y="290" text-anchor="middle">{k + 1}</text>')
    legend = '<text x="52" y="14">○ in training  ● in the test after it, by fold</text>'
    label = f"{score} of {len(folds)} folds in training and in the test that followed"
    return figure(label, 640.0, 300.0, legend + "".join(drawn))


def _told(value: float) -> str:
    return number(value) if math.isfinite(value) else "–"


def _brief(value: float) -> str:
    return (
        format(value, ".2f" if 0.1 <= abs(value) < 100.0 else ".2g").replace("-", "−") if math.isfinite(value) else "–"
    )


def _short(text: str, most: int = 9) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
