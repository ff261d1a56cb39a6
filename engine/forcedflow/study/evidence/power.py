"""Whether the tests find what is there: how often they reject where a mechanism was planted, by strength and size.

``python -m forcedflow.study.evidence.power --markets 30 --out docs/power.md`` tests every shipped hypothesis on
markets that have its mechanism at a known strength, and writes what it found, with curves. Rows are kept in a file as
they come, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.data.simulation import simulate
from forcedflow.report.svg import axis
from forcedflow.study.evidence.hypothesis import load_hypothesis
from forcedflow.study.evidence.inference import ALPHA, POWER
from forcedflow.study.evidence.trials import kept, line_of, trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forcedflow.data import Dataset

__all__ = ["MECHANISMS", "Cell", "Mechanism", "PairPower", "curves", "main", "planted_market", "powers"]

PLACEBOS: Final = 19  # with 19 paths a p of 5% is the largest of twenty: exact, and the least work
MAIN: Final = "path_placebo"
"""The null whose power the curves show: the one that decides first."""
STRENGTHS: Final = (0.5, 1.0, 2.0)
"""Times the mechanism's own."""
SIZES: Final = (6_250, 12_500, 25_000, 50_000, 100_000)
LARGER: Final = (200_000, 400_000)
"""Bars that the mechanism's own strength is tried with too."""
IDLE: Final = 25_000
"""Bars of the markets in which the mechanism is switched off."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """Something that makes hypotheses true in a simulated market, with a setting for how strong it is."""

    name: str
    """The setting of :class:`~forcedflow.data.agents.SimulationSettings` that switches it on."""
    strength: float
    hypotheses: tuple[str, ...]
    largest: int
    """Bars beyond which nothing is left to learn."""
    words: str


MECHANISMS: Final = (
    Mechanism(
        "impact",
        6.5,
        ("aligned_break", "passive_levels", "void_reversal", "zone_stops"),
        LARGER[-1],
        "forced orders move price by Y x daily volatility x sqrt(forced / daily volume); a tenth of what an order of "
        "1% of daily volume moves stays, the rest comes back with a half-life of 45 minutes. Y is 6.5: the 6.07 times "
        "that liquidations were measured to move price more than other takers do, whose Y was 1.07 (min66633; square "
        "root: Donier and Bonart 2014)",
    ),
    Mechanism(
        "magnet",
        0.1,
        ("magnet",),
        50_000,
        "price drifts to the side with more mass within 5%, by a tenth of a step's volatility where all mass is on one "
        "side. Nobody has measured a magnet, so this strength is a choice",
    ),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One market to be tried."""

    mechanism: Mechanism
    strength: float
    """Times the mechanism's own."""
    bars: int
    seed: int

    @property
    def name(self) -> str:
        """By which its row is kept."""
        return f"{self.mechanism.name} {self.strength:g} {self.bars} {self.seed}"


@dataclass(frozen=True, slots=True)
class PairPower:
    """How often one pair of hypothesis and null found the mechanism."""

    hypothesis: str
    null: str
    strength: float
    bars: int
    markets: int
    found: int
    """Rejected at 5%; a market with too few events counts as one where nothing was found."""
    events: float
    """Mean a market."""

    @property
    def share(self) -> float:
        """Found a market."""
        return self.found / self.markets

    @property
    def least(self) -> float:
        """Lower bound of the share at 95% (Wilson)."""
        n, z = self.markets, 1.645
        middle = self.share + z * z / (2 * n)
        return (middle - z * math.sqrt(self.share * (1 - self.share) / n + z * z / (4 * n * n))) / (1 + z * z / n)


def planted_market(mechanism: Mechanism, strength: float, bars: int, seed: int) -> Dataset:
    """Return a market that has nothing but one mechanism: the null's agents and value, and their true profile."""
    planted = {mechanism.name: strength * mechanism.strength}
    return simulate("null", bars=bars, seed=seed, snapshot_bars=bars, **planted).dataset()


def cells(markets: int, seed: int) -> Iterable[Cell]:
    """Return what is tried, market by market: so a run that is stopped has whole markets."""
    for number in range(seed, seed + markets):
        for mechanism in MECHANISMS:
            yield Cell(mechanism, 0.0, IDLE, number)
            for strength in STRENGTHS:
                most = min(mechanism.largest, SIZES[-1]) / max(strength, 1.0)  # twice as strong needs less
                yield from (Cell(mechanism, strength, bars, number) for bars in SIZES if bars <= most)
            yield from (Cell(mechanism, 1.0, bars, number) for bars in LARGER if bars <= mechanism.largest)


def _entry(cell: Cell) -> dict[str, Any]:
    data = planted_market(cell.mechanism, cell.strength, cell.bars, cell.seed)
    tests = trial(data, cell.seed, cell.mechanism.hypotheses, placebos=PLACEBOS)
    return {"strength": cell.strength, "bars": cell.bars, "tests": tests}


def powers(entries: Iterable[dict[str, Any]]) -> list[PairPower]:
    """Sum up markets by pair, strength and sample size."""
    tried: dict[tuple[str, str, float, int], list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        for test in entry["tests"]:
            tried[test["hypothesis"], test["null"], entry["strength"], entry["bars"]].append(test)
    return [
        PairPower(
            *key,
            markets=len(tests),
            found=sum(test["p"] is not None and test["p"] <= ALPHA for test in tests),
            events=float(np.mean([test.get("n", 0) for test in tests])),
        )
        for key, tests in tried.items()
    ]


# --- The page ---


def _needed(pairs: Iterable[PairPower]) -> PairPower | None:
    """Return the smallest sample from which on the share found stays at 80% or more."""
    needed = None
    for pair in sorted(pairs, key=lambda pair: -pair.bars):
        if pair.share < POWER:
            break
        needed = pair
    return needed


def _page(pairs: list[PairPower], command: str, seed: int, picture: str) -> str:
    own = [pair for pair in pairs if pair.null == MAIN]
    markets = max(pair.markets for pair in pairs)
    lines = [
        "# Power of the tests where there is something to find",
        "",
        f"Command: `{command}`, {datetime.now(UTC):%Y-%m-%d}, {markets} markets a point, seeds from {seed} on.",
        "",
        "Each market is the simulated one (`forcedflow simulate null`: agents on a GARCH-t walk without drift, bars of "
        "5 min) with one mechanism planted; the map knows the true holders, so this is the best that a map can do. "
        f"*Found* is rejected at 5%, one pair at a time, path placebos by rank among {PLACEBOS} (more make the test a "
        "little sharper); too few events count as not found. The hypotheses were defined on other simulated markets, "
        "not on these and not on real data. The verdict *found* takes the rejection of every null that a hypothesis "
        "names: no more often than the least share of a row.",
        "",
        *(
            f"- **{m.name}** ({', '.join(m.hypotheses)}): {m.words}. Strength 1 is {m.name} = {m.strength:g}."
            for m in MECHANISMS
        ),
        "",
        f"![Share of markets on which each hypothesis is found, by sample size and strength]({picture})",
        "",
        "## Sample that is needed",
        "",
        "Against the path placebo: bars of 5 min from which on four markets in five show what is there.",
        "",
        "| hypothesis | half the strength | the strength | double | events a market at the strength |",
        "| --- | --: | --: | --: | --: |",
    ]
    names = [name for m in MECHANISMS for name in m.hypotheses]
    for name in names:
        found = [_needed(p for p in own if p.hypothesis == name and p.strength == s) for s in STRENGTHS]
        texts = [f"{pair.bars:,}" if pair else _most(own, name, s) for pair, s in zip(found, STRENGTHS, strict=True)]
        lines.append(f"| {name} | {' | '.join(texts)} | {f'{found[1].events:.0f}' if found[1] else '–'} |")
    for name in names:
        lines += ["", f"## {load_hypothesis(name).title}", "", *_table([p for p in pairs if p.hypothesis == name])]
    return "\n".join(lines) + "\n"


def _most(own: list[PairPower], name: str, strength: float) -> str:
    last = max((p for p in own if p.hypothesis == name and p.strength == strength), key=lambda p: p.bars)
    return f"more than {last.bars:,} ({last.share:.0%} there)"


def _table(pairs: list[PairPower]) -> list[str]:
    nulls = list(dict.fromkeys(pair.null for pair in pairs))
    found = {(pair.strength, pair.bars, pair.null): pair for pair in pairs}
    rows = sorted({(pair.strength, pair.bars) for pair in pairs})
    lines = [
        f"`{pairs[0].hypothesis}`. Share of markets on which each null is rejected; *at least*: lower bound of the "
        "first at 95%.",
        "",
        f"| strength | bars | events | {' | '.join(nulls)} | at least |",
        f"| --: | --: | --: | {' | '.join('--:' for _ in nulls)} | --: |",
    ]
    for strength, bars in rows:
        first = found[strength, bars, nulls[0]]
        shares = " | ".join(f"{found[strength, bars, null].share:.0%}" for null in nulls)
        lines.append(f"| {strength:g} | {bars:,} | {first.events:.0f} | {shares} | {first.least:.0%} |")
    return lines


_WIDE, _HIGH, _GAP = 210.0, 170.0, 14.0
_COLOURS: Final = {0.5: "#9bb8d3", 1.0: "#2f6fab", 2.0: "#0b2e4f"}


def curves(pairs: Iterable[PairPower]) -> str:
    """Draw the share found against the path placebo over the sample size, one panel a hypothesis; SVG."""
    own = [pair for pair in pairs if pair.null == MAIN and pair.strength in STRENGTHS]
    names = list(dict.fromkeys(pair.hypothesis for pair in own))
    sizes = [pair.bars for pair in own]
    low, high = math.log(min(sizes)), math.log(max(sizes))
    panels = []
    for number, name in enumerate(names):
        left = _GAP + 26 + number * (_WIDE + _GAP)
        x, y = axis(low, high, left, left + _WIDE - 26), axis(0.0, 1.0, _HIGH - 22, 30.0)
        parts = [f'<text x="{left}" y="16" font-weight="600" fill="#222">{name}</text>']
        for share in (0.0, 0.5, POWER, 1.0):
            dash = ' stroke-dasharray="4 3"' if share == POWER else ""
            parts.append(
                f'<path d="M{left} {y(share):.1f}H{left + _WIDE - 26}" stroke="#ccc"{dash}/>'
                f'<text x="{left - 4}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
            )
        parts += [
            f'<text x="{x(math.log(bars)):.1f}" y="{_HIGH - 6}" text-anchor="middle">{bars / 1000:g}k</text>'
            for bars in sorted({pair.bars for pair in own})[::2]
        ]
        for strength in STRENGTHS:
            line = sorted((p.bars, p.share) for p in own if p.hypothesis == name and p.strength == strength)
            points = " ".join(f"{x(math.log(bars)):.1f},{y(share):.1f}" for bars, share in line)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[strength]}" stroke-width="2"/>')
        panels.append("".join(parts))
    wide = 2 * _GAP + len(names) * (_WIDE + _GAP)
    key = "".join(
        f'<path d="M{40 + 130 * k} {_HIGH + 12}h22" stroke="{_COLOURS[s]}" stroke-width="2"/>'
        f'<text x="{66 + 130 * k}" y="{_HIGH + 16}">strength x {s:g}</text>'
        for k, s in enumerate(STRENGTHS)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {_HIGH + 26:g}" font-family="sans-serif" '
        f'font-size="11" fill="#666"><rect width="100%" height="100%" fill="#fff"/>{"".join(panels)}{key}</svg>\n'
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the power of every test: ``python -m forcedflow.study.evidence.power --out docs/power.md``."""
    parser = argparse.ArgumentParser(prog="python -m forcedflow.study.evidence.power", description=main.__doc__)
    parser.add_argument("--markets", type=int, default=30, help="a point")
    parser.add_argument("--seed", type=int, default=4000, help="of the first market; the others follow")
    parser.add_argument("--rows", type=Path, default=Path("results/power.jsonl"), help="kept as they come")
    parser.add_argument("--out", type=Path, required=True, help="the curves lie beside it, as SVG")
    given = parser.parse_args(arguments)
    entries = kept(given.rows, ((cell.name, cell) for cell in cells(given.markets, given.seed)), _entry)
    pairs = powers(entries)
    picture = given.out.with_suffix(".svg")
    picture.write_text(curves(pairs), encoding="utf-8")
    command = line_of("power", "--markets", given.markets, "--seed", given.seed, "--out", given.out)
    given.out.write_text(_page(pairs, command, given.seed, picture.name), encoding="utf-8")


if __name__ == "__main__":
    main()
