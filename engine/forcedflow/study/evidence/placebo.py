"""Nulls by replay: other paths, or other holders, taken through the whole engine.

A path placebo keeps the size of every bar and flips some of them: each bar, as log distances from the close before it,
is mirrored or not by a fair coin, and the path is put together again. Volume, times and venue data stay. Whatever the
map or structure then seem to do to price, they do by chance. Only what the hypotheses need is recomputed: the market
pass without snapshots, and their statistics, all hypotheses on the same paths.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.data.bars import Bars
from forcedflow.errors import SettingsError
from forcedflow.market.tape import MarketPass
from forcedflow.study.evidence.effects import gather
from forcedflow.study.evidence.inference import Sample, influence, statistic
from forcedflow.study.evidence.outcomes import LogBars
from forcedflow.venues import load_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from forcedflow.data.series import Dataset
    from forcedflow.settings import MarketSettings
    from forcedflow.study.evidence.hypothesis import Hypothesis
    from forcedflow.tables import FloatArray, IntArray
    from forcedflow.venues import Profile

__all__ = ["flip", "flipped", "other_holders", "placebos", "statistics"]

_PATHS: Final = 1  # streams of chance, so that nulls of one seed do not share theirs
_HOLDERS: Final = 2
_SCORES: Final = 3


Statistics = tuple["FloatArray", "FloatArray"]
"""Effect and studentised effect of each hypothesis; NaN where events are too few."""


def flip(bars: Bars, signs: IntArray) -> Bars:
    """Return bars whose path is put together from each bar as it was (+1) or mirrored (-1), the mark price with it.

    Parameters
    ----------
    signs
        Shape (n,). A bar is its log distances from the close before it, so a gap belongs to the bar that it opens; the
        first bar's distances are from its own open.
    """
    before = np.log(np.concatenate((bars.open[:1], bars.close[:-1])))
    step = signs * (np.log(bars.close) - before)
    base = before[0] + np.concatenate(([0.0], np.cumsum(step)[:-1]))
    up = signs > 0

    def moved(price: FloatArray) -> FloatArray:
        there: FloatArray = base + signs * (np.log(price) - before)
        return there

    close, opened = base + step, moved(bars.open)
    high, low = moved(bars.high), moved(bars.low)
    # The smallest errors of rounding must not put an open beyond the bar's range.
    top = np.maximum(np.where(up, high, low), np.maximum(opened, close))
    bottom = np.minimum(np.where(up, low, high), np.minimum(opened, close))
    mark: dict[str, Any] = {"mark_high": None, "mark_low": None}
    if bars.mark_high is not None and bars.mark_low is not None:
        high, low = moved(bars.mark_high), moved(bars.mark_low)
        mark = {"mark_high": np.exp(np.where(up, high, low)), "mark_low": np.exp(np.where(up, low, high))}
    return Bars(
        ts=bars.ts,
        interval=bars.interval,
        open=np.exp(opened),
        high=np.exp(top),
        low=np.exp(bottom),
        close=np.exp(close),
        volume=bars.volume,
        **mark,
    )


def flipped(dataset: Dataset, seed: int, number: int) -> Dataset:
    """Return placebo path ``number`` of a dataset: the same one whatever else is asked for."""
    rng = np.random.default_rng((seed, _PATHS, number))
    signs = rng.choice(np.array((-1, 1)), len(dataset.bars))
    return replace(dataset, bars=flip(dataset.bars, signs))


def statistics(ran: MarketPass, hypotheses: Sequence[Hypothesis], seed: int) -> Statistics:
    """Return the statistics of hypotheses after a market pass."""
    found = [statistic(sample) for sample in _samples(ran, hypotheses, seed)]
    effect, t = np.array(found, np.float64).reshape(-1, 2).T
    return effect, t


def placebos(
    dataset: Dataset,
    market: MarketSettings,
    hypotheses: Sequence[Hypothesis],
    *,
    count: int,
    seed: int,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Statistics:
    """Replay ``count`` placebo paths; return effects and statistics of shape (count, hypotheses).

    Parameters
    ----------
    jobs
        Processes; the result does not depend on their number.
    """
    work = _Paths(dataset, market, tuple(hypotheses), seed)
    rows = _all(work, count, jobs, progress)
    shape = (count, len(hypotheses))
    return np.reshape([row[0] for row in rows], shape), np.reshape([row[1] for row in rows], shape)


def other_holders(
    dataset: Dataset,
    market: MarketSettings,
    hypotheses: Sequence[Hypothesis],
    own: Sequence[Sample],
    *,
    count: int,
    seed: int,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Sample]:
    """Return what each day adds to the effect of each hypothesis, less the mean of that over maps of other holders.

    The maps share the path, so their effects are not exchangeable with the own one's: one sees more events, the other
    fewer. But where no map knows anything each effect has a mean of zero, and so has the difference; days tell its
    error.

    Parameters
    ----------
    own
        Scores of each hypothesis on the own map.

    Raises
    ------
    SettingsError
        Where a profile has nothing to shuffle.
    """
    with TemporaryDirectory(prefix="forcedflow-holders-") as scratch:
        folder = Path(scratch)
        _deal_holders(dataset, market, folder, count, seed)
        settings = market.model_copy(update={"profile": None})
        work = _Holders(dataset, settings, tuple(hypotheses), seed, folder)
        rows = _all(work, count, jobs, progress)
    return [_difference(sample, [row[k] for row in rows]) for k, sample in enumerate(own)]


Days = tuple["IntArray", "FloatArray"]


def _difference(own: Sample, others: list[Days | None]) -> Sample:
    """Return daily differences, scaled so that their mean is the difference of the effects."""
    here, met = influence(own), [other for other in others if other is not None]
    if here is None or not met:
        return Sample(np.zeros(0), np.zeros(0, np.int64))
    days = np.unique(np.concatenate((here[0], *(other[0] for other in met))))
    gain = np.zeros(len(days))
    gain[np.searchsorted(days, here[0])] = here[1]
    for day, part in met:
        gain[np.searchsorted(days, day)] -= part / len(met)
    return Sample(gain * len(days), days)


def _samples(ran: MarketPass, hypotheses: Sequence[Hypothesis], seed: int) -> list[Sample]:
    events, bars = ran.events(), ran.dataset.bars
    prices = LogBars.of(bars)
    return [gather(h, bars, events, prices).sample(np.random.default_rng((seed, _SCORES))) for h in hypotheses]


def _replay(dataset: Dataset, market: MarketSettings) -> MarketPass:
    ran = MarketPass(dataset, market)
    ran.advance()
    return ran


@dataclass(frozen=True, slots=True)
class _Paths:
    """One placebo path after another."""

    dataset: Dataset
    market: MarketSettings
    hypotheses: tuple[Hypothesis, ...]
    seed: int

    def __call__(self, number: int) -> Statistics:
        ran = _replay(flipped(self.dataset, self.seed, number), self.market)
        return statistics(ran, self.hypotheses, self.seed)


@dataclass(frozen=True, slots=True)
class _Holders:
    """One deal of holders after another."""

    dataset: Dataset
    market: MarketSettings
    hypotheses: tuple[Hypothesis, ...]
    seed: int
    folder: Path

    def __call__(self, number: int) -> list[Days | None]:
        venues = tuple(
            replace(venue, profile=str(_holder_file(self.folder, number, place)))
            for place, venue in enumerate(self.dataset.venues)
        )
        ran = _replay(replace(self.dataset, venues=venues), self.market)
        return [influence(sample) for sample in _samples(ran, self.hypotheses, self.seed)]


def _all(work: Callable[[int], Any], count: int, jobs: int, progress: Callable[[int, int], None] | None) -> list[Any]:
    """Do ``count`` pieces of work in order, in this process or in ``jobs`` others."""
    rows: list[Any] = []
    with ExitStack() as stack:
        found: Iterable[Any] = map(work, range(count))
        if jobs > 1:
            begin = get_context("spawn")  # a forked child would share the parent's threads and locks
            pool = stack.enter_context(ProcessPoolExecutor(jobs, begin, initializer=_begin, initargs=(work,)))
            found = pool.map(_one, range(count), chunksize=max(count // (8 * jobs), 1))
        for row in found:
            rows.append(row)
            if progress is not None:
                progress(len(rows), count)
    return rows


_work: list[Callable[[int], Any]] = []  # of this process, where it is a worker


def _begin(work: Callable[[int], Any]) -> None:
    _work[:] = [work]


def _one(number: int) -> Any:
    return _work[0](number)


# --- Holders ---


def _deal_holders(dataset: Dataset, market: MarketSettings, folder: Path, count: int, seed: int) -> None:
    """Write each venue's profile with its weights dealt anew, for every replicate."""
    for place, venue in enumerate(dataset.venues):
        profile = load_profile(market.profile or venue.profile)
        weights = [[row.weight for row in rows] for rows in _groups(profile)]
        if all(len(set(group)) < 2 for group in weights):
            raise SettingsError(
                f"null shuffled_leverage has nothing to shuffle: profile {profile.name} of {venue.venue} gives all its "
                "leverages one weight"
            )
        for number in range(count):
            rng = np.random.default_rng((seed, _HOLDERS, number, place))
            dealt = [_deal(group, rng) for group in weights]
            _holder_file(folder, number, place).write_text(_toml(profile, dealt), encoding="utf-8")


def _holder_file(folder: Path, number: int, place: int) -> Path:
    return folder / f"{number}-{place}.toml"


def _groups(profile: Profile) -> tuple[tuple[Any, ...], ...]:
    if profile.distances is None:
        return (profile.tiers,)
    return profile.distances.long, profile.distances.short


def _deal(weights: list[float], rng: np.random.Generator) -> list[float]:
    """Return the weights in another order; never in their own, where there is another."""
    while True:
        dealt = [weights[k] for k in rng.permutation(len(weights))]
        if dealt != weights or len(set(weights)) < 2:
            return dealt


def _toml(profile: Profile, weights: list[list[float]]) -> str:
    """Return a profile with other weights as TOML: its values are numbers and words, so JSON's forms serve."""
    values = profile.model_dump(mode="json", exclude_none=True, exclude={"fitted_window"})
    groups = (
        [values["tiers"]] if profile.distances is None else [values["distances"]["long"], values["distances"]["short"]]
    )
    for rows, dealt in zip(groups, weights, strict=True):
        for row, weight in zip(rows, dealt, strict=True):
            row["weight"] = weight
    return "".join(f"{key} = {_inline(value)}\n" for key, value in values.items() if value)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)
