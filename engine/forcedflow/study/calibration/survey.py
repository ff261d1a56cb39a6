"""What calibration finds: on a market whose holders are known, and on the real datasets, written up in plain words.

``python -m forcedflow.study.calibration.survey --out docs/calibration.md`` needs the data folder and some minutes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from forcedflow.data import instant_ns, load_dataset
from forcedflow.data.simulation import simulate
from forcedflow.data.times import time_text
from forcedflow.study.calibration.fit import (
    Calibration,
    CalibrationSettings,
    Contender,
    calibrate,
    compare,
    rows_of,
    total_variation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forcedflow.data import Dataset

__all__ = ["Case", "main", "page"]

HOLDERS: Final = {3: 0.20, 5: 0.25, 10: 0.25, 20: 0.15, 50: 0.10, 100: 0.05}
"""Leverages of the simulated market, and the share of what is opened that each has."""
FITTED: Final = "calibrated"
_DAY_MINUTES: Final = 1440
_REAL: Final = (
    ("btcusdt-5m", None, 60),
    ("solusdt-5m", None, 60),
    ("dogeusdt-5m", None, 60),
    ("btc-venues-1h", "2026-01-02", _DAY_MINUTES),  # liquidations by the day, and for fifty days only
    ("sol-venues-1h", "2026-01-02", _DAY_MINUTES),
    ("doge-venues-1h", "2026-01-02", _DAY_MINUTES),
)
"""Dataset, where it is split (the middle), and the minutes of a row."""


@dataclass(frozen=True, slots=True)
class Case:
    """One dataset: fitted on its first part, scored on its second."""

    title: str
    dataset: str
    split: str
    fit: Calibration
    contenders: tuple[Contender, ...]
    distance_to_truth: float | None = None
    """Total variation; None where nobody knows the truth."""


def study(data: Dataset, at: int, settings: CalibrationSettings, truth: dict[int, float] | None = None) -> Case:
    """Fit before bar ``at`` and score from it on, beside every shipped profile."""
    cut = int(data.bars.ts[at])
    fit = calibrate(data.between(None, cut), settings)
    contenders = compare(
        data, at, {FITTED: (fit.profile, fit.hazard_per_hour)}, target=fit.target, group_minutes=settings.group_minutes
    )
    apart = None
    if truth is not None:
        shares = [truth.get(round(x), 0.0) for x in sorted(settings.leverages, reverse=True)]
        apart = total_variation(fit.weights, np.array(shares))
    return Case(data.title, data.name, time_text(cut), fit, tuple(contenders), apart)


def known(bars: int) -> Dataset:
    """Return a market of known holders, all alike but for leverage, on a price that none of them moves."""
    agents = [
        {"leverage": leverage, "weight": weight, "notional": 20_000, "holding_hours": 96.0}
        for leverage, weight in HOLDERS.items()
    ]
    return simulate("null", bars=bars, seed=11, agents=agents, volatility=0.7, snapshot_bars=bars).dataset()


def page(cases: Sequence[Case], command: str) -> str:
    """Return the cases as Markdown."""
    lines = [
        "# Calibration: do fitted holders foretell forced flow better than the shipped ones?",
        "",
        f"Command: `{command}`, {datetime.now(UTC):%Y-%m-%d}. Written by the program.",
        "",
        "Each fit sees the first part of a dataset; it and every shipped profile are scored on the second. *Gain* is "
        "what the forecast of forced flow adds to the R2 of range, new extremes and volume. *As it is*: R2 of the "
        "forecast without any coefficient, below 0 where it is too large or too small by much. *Nats*: log-score gain "
        "over what distance alone says of when flow comes. Each is near zero on a placebo map.",
        "",
        "## In short",
        "",
        *(f"- **{case.dataset}**: {_sentence(case)}" for case in cases),
    ]
    for case in cases:
        lines += ["", f"## {case.title}", "", *_details(case)]
    return "\n".join(lines) + "\n"


def _sentence(case: Case) -> str:
    own = next(c.score for c in case.contenders if c.name == FITTED)
    others = {c.name: c.score for c in case.contenders if c.name != FITTED and c.score is not None}
    if own is None or not others:
        return "nothing could be scored."
    best = max(others, key=lambda name: others[name].r2_gain)
    level = max(others, key=lambda name: others[name].r2_level)
    truth = "" if case.distance_to_truth is None else f"total variation from the truth {case.distance_to_truth:.3f}; "
    beats = own.r2_gain > others[best].r2_gain
    sure = own.r2_gain > 2 * own.gain_error
    verdict = (
        "better than every shipped profile"
        if beats and sure
        else "ahead of every shipped profile, but not surely more than nothing"
        if beats
        else f"no better than the shipped profiles ({best} gains {others[best].r2_gain:+.4f})"
    )
    nearest = others[level].r2_level
    size = f"as it is {own.r2_level:+.2f}, the nearest shipped profile {nearest:+.2f} ({level})"
    words = "realised liquidations" if case.fit.target == "liquidations" else "falls of open interest"
    gain = f"gain {own.r2_gain:+.4f} (se {own.gain_error:.4f}) over {own.rows:,} rows"
    return f"{words}: {truth}{verdict}; {gain}; {size}."


def _details(case: Case) -> list[str]:
    fit = case.fit
    weights = ", ".join(f"{name} {w:.3f} ({a:.3f} to {b:.3f})" for name, w, a, b in rows_of(fit) if b > 0.0005)
    lines = [
        f"`{case.dataset}`, split at {case.split}; fitted to {fit.target.replace('_', ' ')}, {fit.rows:,} rows; hazard "
        f"{fit.hazard_per_hour:g} an hour. Weights with {fit.settings.level:.0%} bands: {weights}.",
        "",
        "| profile | R2 of controls | gain | se | as it is | rank correlation | timing | nats |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for each in case.contenders:
        s = each.score
        lines.append(
            f"| {each.name} | {each.why_not} | | | | | | |"
            if s is None
            else f"| {each.name} | {s.r2_controls:.3f} | {s.r2_gain:+.4f} | {s.gain_error:.4f} | {s.r2_level:+.2f} | "
            f"{s.rank_correlation:+.3f} | {s.timing:+.3f} | {s.distance.nats:+.4f} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit and score: ``python -m forcedflow.study.calibration.survey --out docs/calibration.md``."""
    parser = argparse.ArgumentParser(prog="python -m forcedflow.study.calibration.survey", description=main.__doc__)
    parser.add_argument("--bars", type=int, default=200_000, help="of the simulated market")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    simulated = known(given.bars)
    leverages = CalibrationSettings(leverages=tuple(HOLDERS))
    cases = [study(simulated, given.bars // 2, leverages, HOLDERS)]
    for name, split, minutes in _REAL:
        data = load_dataset(name)
        at = len(data.bars) // 2 if split is None else int(data.bars.ts.searchsorted(instant_ns(split)))
        cases.append(study(data, at, CalibrationSettings(group_minutes=minutes)))
    command = f"python -m forcedflow.study.calibration.survey --bars {given.bars} --out {given.out}"
    given.out.write_text(page(cases, command), encoding="utf-8")


if __name__ == "__main__":
    main()
