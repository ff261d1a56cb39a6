"""Nulls: worlds in which the claim is false, each with the symmetry that makes it one and the claims it is fair to.

Nulls *on the tape* lay controls beside each event and leave the path as it was. Nulls *by replay* take other paths or
other holders through the whole engine (:mod:`.placebo`). A pair of hypothesis and null is refused where
the null would reject a true absence, or could not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forcedflow.data.times import DAY, HOUR
from forcedflow.errors import SettingsError
from forcedflow.study.evidence.effects import DEALS, Matter, family
from forcedflow.study.evidence.inference import Sample
from forcedflow.study.evidence.outcomes import Cases, excursions

if TYPE_CHECKING:
    from collections.abc import Callable

    from forcedflow.market.tape import Tape
    from forcedflow.study.evidence.hypothesis import Hypothesis
    from forcedflow.study.evidence.inference import BoolArray
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["NULLS", "REPLAYED", "Null", "check_pair"]

NEIGHBOURS: Final = 5  # matched bars for each event
MEAN_BARS: Final = 288  # of the moving average that a map is mostly made of: a day of 5 min bars
ATR_BAND: Final = 1.25
ROUND: Final = 0.01  # round prices are about so far apart, log price
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Null:
    """A world without the claim."""

    title: str
    symmetry: str
    """What must hold for the test to be fair."""
    families: frozenset[str]
    """Kinds of score (:func:`~forcedflow.study.evidence.effects.family`) that it is valid for."""
    limit: str
    """Why not for others."""
    sample: Callable[[Tape, Matter, np.random.Generator], Sample] | None = None
    """Scores with a mean of zero under it; None where it replays."""


def check_pair(hypothesis: Hypothesis, name: str) -> Null:
    """Return a null by name, if it is valid for a hypothesis.

    Raises
    ------
    SettingsError
        For an unknown name; for a pair that would not be a fair test, with the reason.
    """
    if name not in NULLS:
        raise SettingsError(f"there is no null {name!r}; known: {', '.join(NULLS)}")
    null = NULLS[name]
    kind = family(hypothesis)
    if kind not in null.families:
        valid = [other for other, n in NULLS.items() if kind in n.families]
        raise SettingsError(
            f"null {name} is not valid for hypothesis {hypothesis.name} (outcome {hypothesis.outcome}"
            f"{', of treated events against others' if hypothesis.treated else ''}): {null.limit}. Valid: "
            f"{', '.join(valid)}"
        )
    return null


# --- Distances, and what they alone say ---


@dataclass(frozen=True, slots=True)
class _Hazard:
    """How likely a level at some distance is touched within the horizon, at bars as volatile as this one.

    The scale of the coming excursion is predicted at each bar from what is known at it (ATR, short and long volatility
    before it, its own range, hour of the day; log-linear least squares over all bars), and the chance is the share of
    excursions, both sides of all bars, that went at least so many scales. The bar's own range matters: it is large at
    most events, or they would not have happened, and the bars that follow a large one are large.
    """

    scale: FloatArray
    """Shape (bars,), log price; NaN where it is not known."""
    reached: FloatArray
    """Sorted excursions, in scales."""

    @classmethod
    def of(cls, tape: Tape, matter: Matter) -> _Hazard:
        above, below = excursions(matter.prices, matter.horizon)
        market, bars = tape.market_bars, tape.bars
        columns: list[FloatArray] = [market[name] for name in ("atr", "vol_short", "vol_long")]
        known = np.all([column > 0 for column in columns], axis=0)
        hour = bars.close_ts % DAY // HOUR
        columns.append(matter.prices.high - matter.prices.low + 0.1 * market["atr"])  # a bar may have no range at all
        design = np.column_stack(
            [np.log(np.maximum(column, _TINY)) for column in columns] + [hour == h for h in np.unique(hour)]
        ).astype(np.float64)
        reach = above + below
        fitted = known[: len(reach)] & (reach > 0)
        if not fitted.any():
            return cls(np.full(len(bars), np.nan), np.zeros(0))
        rows = design[: len(reach)][fitted]
        beta = np.linalg.pinv(rows.T @ rows) @ (rows.T @ np.log(reach[fitted]))  # an hour without bars has none
        scale = np.where(known, np.exp(design @ beta), np.nan)
        here = scale[: len(reach)][fitted]
        return cls(scale, np.sort(np.concatenate((above[fitted] / here, below[fitted] / here))))

    def chance(self, cases: Cases) -> FloatArray:
        """Return the chance that each case's level is touched."""
        beyond = np.searchsorted(self.reached, cases.distance / self.scale[cases.bar], side="left")
        chance: FloatArray = 1.0 - beyond / max(len(self.reached), 1)
        return chance


def _surprise(tape: Tape, matter: Matter) -> Callable[[Cases], FloatArray]:
    """Return what scores a case: whether its level is touched, less the chance that distance gives it."""
    hazard = _Hazard.of(tape, matter)
    return lambda cases: matter.outcome(cases, "touch") - hazard.chance(cases)


def _against(tape: Tape, matter: Matter, like: IntArray, controls: Cases) -> Sample:
    """Return the scores of cases against controls; ``like`` is the case of each control, ascending.

    Of touches and moves: each case's score less the mean of its controls'. Of markouts: fills of cases and of controls.
    """
    if family(matter.hypothesis) == "markout":
        return matter.fills(like, controls)
    score = _surprise(tape, matter) if family(matter.hypothesis) == "touch" else matter.outcome
    count = np.bincount(like, minlength=len(matter.cases))
    total = np.bincount(like, score(controls), len(matter.cases)) if len(like) else np.zeros(len(matter.cases))
    met = count > 0
    own = score(matter.cases[met])
    return Sample(own - total[met] / count[met], matter.day[met])


# --- Nulls on the tape ---


def _as_scored(tape: Tape, matter: Matter, rng: np.random.Generator) -> Sample:
    """Return the scores as they are: their own comparison is the null."""
    return matter.sample(rng)


def _distance_only(tape: Tape, matter: Matter, rng: np.random.Generator) -> Sample:
    return Sample(_surprise(tape, matter)(matter.cases), matter.day)


def _centred(tape: Tape, matter: Matter, rng: np.random.Generator, centre: FloatArray) -> Sample:
    """Against levels of a smooth map: Laplace about ``centre`` (log price from the close), as wide as the zones lie."""
    cases = matter.cases
    if not len(cases):
        return Sample(np.zeros(0), matter.day)
    multiple = cases.distance / cases.atr
    like = np.repeat(np.arange(len(cases)), DEALS)
    atr = cases.atr[like]
    place = centre[cases.bar][like] + rng.laplace(0.0, multiple.mean(), len(like)) * atr
    distance = np.clip(np.abs(place) / atr, multiple.min(), multiple.max()) * atr
    side = np.where(place >= 0, 1, -1)
    return _against(tape, matter, like, Cases(cases.bar[like], side, atr, distance))


def _spot_centred(tape: Tape, matter: Matter, rng: np.random.Generator) -> Sample:
    return _centred(tape, matter, rng, np.zeros(len(tape.bars)))


def _ma_centred(tape: Tape, matter: Matter, rng: np.random.Generator) -> Sample:
    close = matter.prices.close
    total = np.concatenate(([0.0], np.cumsum(close - close[0])))
    end = np.arange(1, len(close) + 1)
    begin = np.maximum(end - MEAN_BARS, 0)
    mean = close[0] + (total[end] - total[begin]) / (end - begin)
    return _centred(tape, matter, rng, mean - close)


def _round_prices(tape: Tape, matter: Matter, rng: np.random.Generator) -> Sample:
    """Against the round price nearest to each level, on the same side of price."""
    cases = matter.cases
    close = matter.prices.close[cases.bar]
    level = np.exp(close + cases.side * cases.distance)
    step = _round_step(np.exp(close))
    price = np.rint(level / step) * step
    behind = cases.side * (price - np.exp(close)) <= 0
    price += np.where(behind, cases.side * step, 0.0)
    rows = np.flatnonzero(price > 0)  # a step below a small price there is none
    distance = cases.side[rows] * (np.log(price[rows]) - close[rows])
    controls = Cases(cases.bar[rows], cases.side[rows], cases.atr[rows], distance)
    return _against(tape, matter, rows, controls)


def _round_step(price: FloatArray) -> FloatArray:
    """Return the step of round prices: 1, 2 or 5 times a power of ten, nearest to 1% of price."""
    wanted = np.log10(price * ROUND)
    whole = np.floor(wanted)
    marks = np.log10([1.0, 2.0, 5.0, 10.0])
    nearest = np.abs((wanted - whole)[..., None] - marks).argmin(axis=-1)
    step: FloatArray = 10.0 ** (whole + marks[nearest])
    return step


def _usable(tape: Tape, matter: Matter) -> BoolArray:
    """Tell which bars could have been an event's: after the first event, with an ATR and an outcome."""
    bars = np.arange(len(tape.bars))
    usable: BoolArray = (tape.market_bars["atr"] > 0) & (bars + matter.horizon + matter.hold < len(bars))
    if len(matter.cases):
        usable &= bars >= matter.cases.bar[0]
    return usable


def _time_shifted(tape: Tape, matter: Matter, rng: np.random.Generator) -> Sample:
    """Against the same distance and side at other bars of the same hour and weekday, about as volatile."""
    if matter.treated is not None:
        matter = _only(matter, matter.treated)
    cases, close = matter.cases, tape.bars.close_ts
    slot = (close // HOUR) % (7 * 24)
    atr = tape.market_bars["atr"]
    usable = np.flatnonzero(_usable(tape, matter))
    pools = {at: usable[slot[usable] == at] for at in np.unique(slot[cases.bar])}
    apart = max(DAY // tape.bars.interval, matter.horizon + matter.hold)
    like, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for row, bar in enumerate(cases.bar):
        pool = pools[slot[bar]]
        ratio = atr[pool] / cases.atr[row]
        pool = pool[(np.abs(pool - bar) > apart) & (ratio <= ATR_BAND) & (ratio >= 1 / ATR_BAND)]
        if len(pool):
            found.append(rng.choice(pool, DEALS))
            like.append(np.full(DEALS, row))
    rows, bars = np.concatenate(like), np.concatenate(found)
    multiple = cases.distance / cases.atr
    controls = Cases(bars, cases.side[rows], atr[bars], multiple[rows] * atr[bars])
    return _against(tape, matter, rows, controls)


def _matched_controls(tape: Tape, matter: Matter, rng: np.random.Generator) -> Sample:
    """Treated events against the others; else events against bars of like momentum and volatility."""
    if matter.treated is not None:
        return matter.sample(rng)
    from scipy.spatial import KDTree  # noqa: PLC0415  (needed where evidence is asked for only)

    cases, close, market = matter.cases, matter.prices.close, tape.market_bars
    back = tape.settings.momentum_bars
    with np.errstate(all="ignore"):
        momentum = np.concatenate((np.full(back, np.nan), close[back:] - close[:-back])) / market["atr"]
        pace = np.log(market["vol_short"] / market["vol_long"])
    events = np.isin(tape.events.kind, matter.hypothesis.kinds)
    near = np.zeros(len(close) + 1)
    span = matter.horizon + matter.hold
    np.add.at(near, np.maximum(tape.events.bar[events] - span, 0), 1)
    np.add.at(near, np.minimum(tape.events.bar[events] + span + 1, len(close)), -1)
    usable = _usable(tape, matter) & np.isfinite(momentum) & np.isfinite(pace) & (np.cumsum(near)[:-1] == 0)
    pool, asked = np.flatnonzero(usable), np.isfinite(momentum[cases.bar]) & np.isfinite(pace[cases.bar])
    if len(pool) < NEIGHBOURS or not asked.any():
        return Sample(np.zeros(0), np.zeros(0, np.int64))
    unit = np.array([np.sqrt((momentum[pool] ** 2).mean()), pace[pool].std()])
    unit[unit == 0] = 1.0
    # Each bar twice, as it was and mirrored: a fall is matched with the rise that looks like it.
    both = np.concatenate(
        (np.column_stack((momentum[pool], pace[pool])), np.column_stack((-momentum[pool], pace[pool])))
    )
    here = np.column_stack((cases.side * momentum[cases.bar], pace[cases.bar]))[asked]
    found = np.atleast_2d(KDTree(both / unit).query(here / unit, NEIGHBOURS)[1]).ravel()
    like = np.repeat(np.flatnonzero(asked), NEIGHBOURS)
    bar, side = pool[found % len(pool)], np.where(found < len(pool), 1, -1)
    return _against(tape, matter, like, Cases(bar, side, market["atr"][bar], np.full(len(bar), np.nan)))


def _only(matter: Matter, rows: BoolArray) -> Matter:
    return Matter(
        matter.hypothesis, matter.bars, matter.prices, matter.cases[rows], None, None, matter.horizon, matter.hold,
        matter.asked,
    )  # fmt: skip


_SIGN = "whether price will rise or fall is a fair coin, given all before: no drift, no momentum, no reversal"
_SCALE = "how far price will go depends on the event through volatility and hour of the day only"
_LEVELS = "it compares levels, and this outcome has none"

NULLS: Final = {
    "path_placebo": Null(
        "Path placebo: the whole engine on paths whose bars are flipped up or down at random",
        f"signs of bars are exchangeable: {_SIGN}; falls are no more violent than rises. Sizes of bars, volume and "
        "changes of open interest stay in their order",
        frozenset({"touch", "markout", "stop", "contrast", "move", "size"}),
        "",
    ),
    "shuffled_leverage": Null(
        "Shuffled leverage: the same path, the map's leverages dealt other weights",
        f"{_SIGN}; then no map is better than another, whoever its holders are",
        frozenset({"touch", "markout", "stop", "contrast", "move"}),
        "how much price moves differs between kinds of events, and maps of other holders see other events",
    ),
    "mirrored": Null(
        "Mirrored map: the same distance on the other side of price",
        _SIGN,
        frozenset({"touch", "markout", "move"}),
        "a stop on the other side is another trade, a contrast of events has no mirror image, and a size is its own",
        _as_scored,
    ),
    "distance_only": Null(
        "Distance alone: the chance that a level so far away is touched, at this volatility",
        _SCALE,
        frozenset({"touch"}),
        "it says how soon a level is touched, which only touches ask",
        _distance_only,
    ),
    "spot_centred": Null(
        "Spot-centred map: levels of a smooth density about the current price",
        f"{_SIGN}; {_SCALE}",
        frozenset({"touch", "markout"}),
        _LEVELS,
        _spot_centred,
    ),
    "ma_centred": Null(
        "MA-centred map: levels of a smooth density about the mean price of the last 288 bars",
        f"{_SIGN}; {_SCALE}",
        frozenset({"touch", "markout"}),
        _LEVELS,
        _ma_centred,
    ),
    "time_shifted": Null(
        "Time-shifted map: the same distance and side at other times of the same hour and weekday",
        f"{_SIGN}; for touches also: {_SCALE}",
        frozenset({"touch", "markout", "move", "contrast"}),
        "other times are other volatility: a size would differ for that alone, and a stop is compared with other stops",
        _time_shifted,
    ),
    "distance_shuffled_stops": Null(
        "Distance-shuffled stops: the same entries with the same stop distances dealt at random",
        f"{_SIGN}; then where a stop lies cannot matter before costs",
        frozenset({"stop"}),
        "it deals stops, and this outcome has none",
        _as_scored,
    ),
    "round_prices": Null(
        "Round prices: the round price nearest to each level",
        f"{_SIGN}; for touches also: {_SCALE}",
        frozenset({"touch", "markout"}),
        _LEVELS,
        _round_prices,
    ),
    "matched_controls": Null(
        "Matched controls: events of the same kind and look without the zone; or bars of like momentum and volatility",
        "what follows depends on side, and on what is matched, but not on the map",
        frozenset({"contrast", "move"}),
        "levels and stops are matched by their distance: ask for mirrored, time_shifted or distance_shuffled_stops",
        _matched_controls,
    ),
}
"""All nulls by name."""

REPLAYED: Final = tuple(name for name, null in NULLS.items() if null.sample is None)
