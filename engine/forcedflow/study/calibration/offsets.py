"""What each offset of a profile would have had swept, bar by bar: the design that a calibration fits.

The map is linear in a profile's weights, given what was opened and what faded. Those do depend on the weights, through
what is swept, but little: about 1% of open interest a day. So a fit repeats: a pass of the map with the weights so far
gives openings and fading, :mod:`forcedflow.kernels.calibration` takes that pass apart by offset, and the fit gives new
weights. At the weights of the pass the parts sum to what the pass swept, to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forcedflow.errors import DataError
from forcedflow.kernels.calibration import swept_by_offset
from forcedflow.market.feeds import Feed
from forcedflow.market.tape import make_tape

if TYPE_CHECKING:
    from forcedflow.data.series import Dataset
    from forcedflow.market.tape import Tape
    from forcedflow.settings import MarketSettings
    from forcedflow.venues import Profile

__all__ = ["OffsetFlows", "with_holders"]

FloatArray = npt.NDArray[np.float64]


def with_holders(dataset: Dataset, profile: Profile | str) -> Dataset:
    """Return a dataset whose venues are all held by ``profile``."""
    return replace(dataset, venues=tuple(replace(venue, profile=profile) for venue in dataset.venues))


@dataclass(frozen=True, slots=True, eq=False)
class OffsetFlows:
    """A pass of the map, taken apart; n bars, K offsets of each side, nearest to entry first.

    Where several stamps of open interest become known at one close, what they opened together is spread over all their
    bars: there the parts differ a little from the pass.
    """

    tape: Tape
    offsets: FloatArray
    """Shape (2, K): ln(threshold / entry), longs first."""
    weights: FloatArray
    """Shape (2, K): of the pass."""
    swept: FloatArray
    """Shape (n, 2, K): base units for a weight of 1."""

    @classmethod
    def of(cls, dataset: Dataset, profile: Profile, settings: MarketSettings) -> OffsetFlows:
        """Take the map through a dataset with a profile, whole and by offset.

        Raises
        ------
        DataError
            Where the dataset has several venues or an inverse one, holders keep stops, the sides differ in their number
            of offsets, or margin rules change within the data: then a threshold is more than entry and offset.
        """
        data = with_holders(dataset, profile)
        if len(data.venues) != 1 or data.venues[0].contract != "linear":
            raise DataError(f"{data.name}: a profile is fitted on one linear venue; take one venue's data at a time")
        feed = Feed.of(data, settings)
        arrays, venue, width = feed.arrays, feed.arrays.venues[0], settings.bin_bps * 1e-4
        if venue.stops:
            raise DataError(f"profile {profile.name} has stops: only liquidations can be taken apart by offset")
        if len(arrays.changes):
            raise DataError(f"{data.name}: margin rules change within the data; fit on a window between two changes")
        count = int(venue.tiers[0])
        if count != venue.tiers[1]:
            raise DataError(f"profile {profile.name}: both sides need the same number of distances")
        tape = make_tape(data, settings.model_copy(update={"profile": None}), snapshots=0)
        bars = tape.bars
        trigger_low = bars.low if bars.mark_low is None else bars.mark_low
        trigger_high = bars.high if bars.mark_high is None else bars.mark_high
        path = np.log(np.stack([bars.low, bars.high, trigger_low, trigger_high], axis=1)) / width
        offsets = np.ascontiguousarray(venue.offsets[:, :count])
        weights = np.ascontiguousarray(-np.diff(venue.weights[:, : count + 1], axis=1))
        first = int(path.min() + offsets.min()) - 3
        bins = int(path.max() + offsets.max()) + 3 - first
        swept = np.empty((len(bars), 2, count))
        swept_by_offset(
            path,
            bars.volume,
            arrays.stamps,
            np.stack([tape.market_bars["opened_long"], tape.market_bars["opened_short"]], axis=1),
            _outlived(tape, settings),
            offsets,
            weights,
            settings.entry_points,
            first,
            np.zeros((2, count, bins)),
            np.empty((2, count, 2), np.int64),
            np.ones(2),
            swept,
        )
        return cls(tape, offsets * width, weights, swept)


def _outlived(tape: Tape, settings: MarketSettings) -> FloatArray:
    """Return which share of the located mass that a bar left unswept was there at its close, shape (n, 2).

    It faded by the hazard, and by what a fall of open interest took beyond that: the ratio of the mass that was there
    at this close and not opened at it to the mass at the close before that was not swept.
    """
    market, shares = tape.market_bars, []
    hours = np.diff(tape.bars.ts, prepend=tape.bars.ts[0] - tape.bars.interval) / 3.6e12
    by_hazard = np.exp(-settings.hazard_per_hour * hours)
    for side in ("long", "short"):
        held = market[f"coverage_{side}"] * market["oi"]
        before = np.concatenate(([0.0], held[:-1])) - market[f"swept_{side}_liq"]
        known = before > 1e-9 * market["oi"]
        share = np.divide(held - market[f"opened_{side}"], before, out=by_hazard.copy(), where=known)
        shares.append(np.clip(share, 0.0, 1.0))
    return np.stack(shares, axis=1)
