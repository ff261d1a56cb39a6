"""Readings as text: what a terminal shows of a comparison."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.report.told import Block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forcedflow.study.sweeps.compare import Comparison
    from forcedflow.study.sweeps.reading import Reading
    from forcedflow.study.sweeps.results import WalkReading
    from forcedflow.study.sweeps.robust import Heatmap, Sensitivity

__all__ = ["comparison_blocks", "heatmap_rows", "point_text", "reading_blocks", "walk_blocks"]

_SHADES: Final = " ░▒▓█"
_SHOWN: Final = ("total_return", "sharpe", "max_drawdown", "expectancy_r", "trades")
_SHARES: Final = frozenset({"total_return", "max_drawdown", "psr", "dsr", "pbo"})
_WIDEST: Final = 12  # columns of a heatmap that a terminal has room for
_FEW: Final = 5  # values of a parameter that its line shows


def comparison_blocks(comparison: Comparison) -> list[Block]:
    """Return everything of a comparison: the table first, then what each sweep says."""
    rows = comparison.rows()
    several = len({(row["dataset"], row["strategy"]) for row in rows}) > 1
    names = ("what", "setting", "return", "Sharpe", "max DD", "R", "trades", "PSR", "DSR", "PBO")
    table = tuple(
        (
            row["what"],
            " ".join(filter(None, (_where(row) if several else "", point_text(row["point"]) or row["folder"]))),
            *(number(row["card"].get(name), name) for name in _SHOWN),
            *(number(row[name], name) for name in ("psr", "dsr", "pbo")),
        )
        for row in rows
    )
    tried = {(row["dataset"], row["trials"]) for row in rows}
    counts = tuple(f"settings tried on {dataset} so far: {count}" for dataset, count in sorted(tried))
    blocks = [Block((*(f"! {failure}" for failure in comparison.failures), *counts), names, table, "setting")]
    for reading in comparison.readings:
        blocks += reading_blocks(reading)
    for walk in comparison.walks:
        blocks += walk_blocks(walk)
    return blocks


def reading_blocks(reading: Reading) -> list[Block]:
    """Return what a sweep of one strategy on one dataset says."""
    head = [f"{reading.strategy} on {reading.dataset}: {reading.settings} settings, by {reading.score}"]
    head += [f"! {note}" for note in reading.notes]
    if reading.plateau is None or reading.best is None:
        return [Block((*head, f"no setting has a {reading.score} with its neighbours"))]
    for what, choice in (("best plateau", reading.plateau), ("best point", reading.best)):
        worst = number(choice.worst_neighbour)
        near = f"with {choice.neighbours} neighbours {number(choice.robust)}, the worst of them {worst}"
        head.append(f"{what}: {point_text(choice.point)}; {reading.score} {number(choice.score)}, {near}")
        belief = choice.belief
        head.append(
            f"  Sharpe {number(belief.sharpe)}: PSR {number(belief.psr, 'psr')}, DSR {number(belief.dsr, 'dsr')} over "
            f"{belief.trials} settings tried on this data, of which the best reaches {number(belief.expected_best)} "
            "without skill"
        )
    if (pbo := reading.pbo) is not None:
        head.append(
            f"probability of overfitting (PBO) {pbo.pbo:.0%} over {pbo.splits} splits; the best in sample loses out of "
            f"sample in {pbo.loss:.0%}"
        )
    if (superior := reading.superior) is not None:
        head.append(
            f"superior predictive ability (SPA): p {superior.spa:.3f} that the best earns nothing; StepM finds "
            f"{len(superior.settings)} of {reading.settings:,} settings better than nothing at a family level of 5%"
        )
    ranked = tuple(_ranked(each) for each in reading.sensitivity if len(each.values) > 1)
    blocks = [Block(tuple(head))]
    if ranked:
        blocks.append(
            Block((), ("parameter", "share of variance", "with interactions", f"mean {reading.score} by value"), ranked)
        )
    return blocks + [heatmap_block(picture, reading.score) for picture in reading.heatmaps]


def walk_blocks(walk: WalkReading) -> list[Block]:
    """Return the folds of a walk-forward and what they earned."""
    card = walk.out_of_sample.card
    head = (
        f"walk-forward of {walk.strategy} on {walk.dataset}: {walk.mode}, chosen by {walk.choose} of {walk.score}",
        f"out of sample: total return {number(card['total_return'], 'total_return')}, Sharpe {number(card['sharpe'])}, "
        f"max drawdown {number(card['max_drawdown'], 'max_drawdown')} over {card['days']} days; "
        f"PSR {number(walk.psr, 'psr')}; settings tried on this data: {walk.trials}",
    )
    rows = tuple(
        (
            f"{fold.times[0][:10]} to {fold.times[1][:10]}",
            f"to {fold.times[3][:10]}",
            point_text(fold.point) if fold.setting is not None else "none had a score: not traded",
            number(fold.train_score),
            number(fold.test_score),
            number(fold.test_card.get("total_return"), "total_return"),
            number(fold.test_card.get("trades")),
        )
        for fold in walk.folds
    )
    header = ("trained", "tested", "chosen", "in sample", "out of sample", "return", "trades")
    return [Block(head, header, rows, "chosen")]


def heatmap_block(picture: Heatmap, score: str) -> Block:
    """Return a heatmap: darker is better, numbers beside."""
    line = f"{score} by {picture.y} (down) and {picture.x} (across), mean over the others; darker is more"
    header, rows = heatmap_rows(picture)
    return Block((line,), header, rows)


def heatmap_rows(picture: Heatmap) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return header and rows of a heatmap, at most twelve columns and rows, evenly picked."""
    across, down = _picked(len(picture.xs)), _picked(len(picture.ys))
    known = picture.scores[np.isfinite(picture.scores)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)

    def cell(score: float) -> str:
        if not math.isfinite(score):
            return "."
        share = (score - low) / (high - low) if high > low else 1.0
        shade = _SHADES[min(int(share * len(_SHADES)), len(_SHADES) - 1)]
        return f"{shade}{shade} {number(score)}"

    header = ("", *(value_text(picture.xs[k]) for k in across))
    rows = tuple((value_text(picture.ys[j]), *(cell(float(picture.scores[j, k])) for k in across)) for j in down)
    return header, rows


def point_text(point: Mapping[str, Any]) -> str:
    """Return a point as ``name=value`` words."""
    return " ".join(f"{name}={value_text(value)}" for name, value in point.items())


def value_text(value: object) -> str:
    """Return a setting's value."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def number(value: float | None, name: str = "") -> str:
    """Return a measure's value, a share in percent; undefined ones as a dash."""
    if value is None or not math.isfinite(value):
        return "-"
    if name in _SHARES:
        return f"{value:.1%}"
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def _where(row: Mapping[str, Any]) -> str:
    return f"{row['strategy']} on {row['dataset']}:"


def _ranked(each: Sensitivity) -> tuple[str, ...]:
    shown = _picked(len(each.values), _FEW)
    means = ", ".join(f"{value_text(each.values[k])}: {number(each.means[k])}" for k in shown)
    return each.name, _percent(each.main), _percent(each.total), means


def _percent(share: float) -> str:
    return f"{share:.0%}" if math.isfinite(share) else "-"


def _picked(count: int, most: int = _WIDEST) -> list[int]:
    return sorted({round(k) for k in np.linspace(0, count - 1, min(count, most)).tolist()})
