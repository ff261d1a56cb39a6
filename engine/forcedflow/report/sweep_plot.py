"""A sweep as a matplotlib figure: heatmaps with the plateau framed, and how much each parameter matters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.errors import SettingsError
from forcedflow.report.canvas import ACCENT, CARD, MUTED, PAGE, PRICE, TEXT, WARN, new_figure, plain_axes, saved
from forcedflow.report.compare_figures import outline, value_text
from forcedflow.report.svg import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["sweep"]

_FITS: Final = 10  # columns in which a number has room
_TICKS: Final = 9
_SHADES: Final = (CARD, "#2c4568", "#4a78b5")


def sweep(readings: Sequence[Mapping[str, Any]], path: str | Path | None = None) -> Figure:
    """Draw what a sweep says, one row for each strategy and dataset; ``Sweep.plot`` calls it.

    Parameters
    ----------
    readings
        Readings as plain values, as ``forcedflow compare --json`` prints them.
    path
        Where to save it: PNG, SVG or PDF by its suffix.

    Returns
    -------
    matplotlib.figure.Figure
        In each row a heatmap of the mean score for each pair of the parameters that matter most (or, of a single
        parameter, the mean score over its values), then the share of the score's variance that each explains.

    Raises
    ------
    SettingsError
        matplotlib is not installed, or there is nothing to draw.
    """
    drawn = [reading for reading in readings if reading["plateau"] is not None and reading["best"] is not None]
    if not drawn:
        raise SettingsError("there is nothing to draw: no setting has a score (of a walk-forward, draw its page)")
    columns = 1 + max(max(len(reading["heatmaps"]), 1) for reading in drawn)
    figure = new_figure((4.6 * columns, 4.6 * len(drawn)))
    for row, reading in zip(figure.subfigures(len(drawn), 1, squeeze=False)[:, 0], drawn, strict=True):
        row.set_facecolor(PAGE)
        row.suptitle(_said(reading).replace("$", r"\$"), x=0.01, ha="left", color=TEXT, fontsize=10)
        axes = row.subplots(1, columns, squeeze=False)[0]
        for place, picture in zip(axes, reading["heatmaps"], strict=False):
            _heatmap(place, picture, reading["score"])
        if not reading["heatmaps"]:
            _response(axes[0], reading)
        for empty in axes[max(len(reading["heatmaps"]), 1) : -1]:
            empty.set_axis_off()
        _shares(axes[-1], reading["sensitivity"])
    return saved(figure, path)


def _said(reading: Mapping[str, Any]) -> str:
    lines = [f"{reading['strategy']} on {reading['dataset']}: {reading['settings']:,} settings by {reading['score']}"]
    for name, choice in (("best plateau (square)", reading["plateau"]), ("best point (circle)", reading["best"])):
        point = ", ".join(f"{key} {value_text(value)}" for key, value in choice["point"].items())
        belief = choice["belief"]
        deflated = "unknown" if belief["dsr"] is None else f"{belief['dsr']:.0%}"
        lines.append(
            f"{name}: {point}; {reading['score']} {_told(choice['score'])}, with neighbours {_told(choice['robust'])}, "
            f"deflated Sharpe {deflated} over {belief['trials']:,} trials"
        )
    return "\n".join(lines)


def _told(value: float | None) -> str:
    return "–" if value is None else number(value)


def _floats(rows: Any) -> Any:
    return np.array([[math.nan if v is None else v for v in row] for row in rows], dtype=np.float64)


def _heatmap(axes: Axes, picture: Mapping[str, Any], score: str) -> None:
    """Draw scores over two parameters: the plateau's cells framed, its middle and the best point marked."""
    from matplotlib.collections import LineCollection  # noqa: PLC0415  (an extra)
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415

    cells = _floats(picture["scores"])
    shades = _SHADES[::-1] if score.startswith("-") else _SHADES
    colours = LinearSegmentedColormap.from_list("score", shades)
    edges = [np.arange(len(picture[name]) + 1) for name in ("xs", "ys")]
    axes.pcolormesh(*edges, np.ma.masked_invalid(cells), cmap=colours, edgecolors=PAGE, linewidth=0.5)
    if len(picture["xs"]) <= _FITS:
        for (j, i), value in np.ndenumerate(cells):
            if math.isfinite(value):
                axes.text(i + 0.5, j + 0.5, f"{value:.2g}", ha="center", va="center", color="white", fontsize=8)
    frame = outline({(cell[0], cell[1]) for cell in picture["around"]})
    axes.add_collection(LineCollection(frame, colors=PRICE, linewidths=2.0, capstyle="projecting"))
    marks = (("plateau", "s", PRICE, 0.2), ("best", "o", WARN, 0.8))
    for name, marker, colour, across in marks:
        if picture[name] is not None:
            row, column = picture[name]
            axes.plot(column + across, row + 0.8, marker, color=colour, markeredgecolor=PAGE, markersize=7, label=name)
    plain_axes(axes, f"mean {score}")
    axes.set_xlabel(picture["x"], color=TEXT)
    axes.set_ylabel(picture["y"], color=TEXT)
    for ticks, labels, values in (
        (axes.set_xticks, axes.set_xticklabels, picture["xs"]),
        (axes.set_yticks, axes.set_yticklabels, picture["ys"]),
    ):
        shown = range(0, len(values), math.ceil(len(values) / _TICKS))
        ticks([k + 0.5 for k in shown])
        labels([value_text(values[k]) for k in shown])


def _response(axes: Axes, reading: Mapping[str, Any]) -> None:
    """Draw the mean score at each value of the only parameter."""
    each: Mapping[str, Any] = reading["sensitivity"][0]
    means = _floats([each["means"]])[0]
    axes.plot(range(len(means)), means, "o-", color=ACCENT, lw=1.5)
    shown = range(0, len(means), math.ceil(len(means) / _TICKS))
    axes.set_xticks(list(shown), [value_text(each["values"][k]) for k in shown])
    axes.grid(axis="y", color=CARD)
    plain_axes(axes, f"mean {reading['score']}")
    axes.set_xlabel(each["name"], color=TEXT)


def _shares(axes: Axes, sensitivity: Sequence[Mapping[str, Any]]) -> None:
    """Draw what each parameter explains of the score's variance, alone and with interactions."""
    varied = [each for each in sensitivity if len(each["values"]) > 1][::-1]
    places = np.arange(len(varied))
    alone, total = (_floats([[each[name] for each in varied]])[0] for name in ("main", "total"))
    axes.barh(places + 0.18, np.nan_to_num(alone), 0.34, color=ACCENT, label="alone")
    if np.isfinite(total).any():
        axes.barh(places - 0.18, np.nan_to_num(total), 0.34, color=MUTED, label="with interactions")
    axes.set_yticks(places.tolist(), [each["name"] for each in varied])
    axes.set_xlim(0.0, 1.0)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    plain_axes(axes, "share of the score's variance")
    axes.legend(loc="lower right", fontsize=8, frameon=False, labelcolor=TEXT)
