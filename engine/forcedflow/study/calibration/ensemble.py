"""Many maps of one market, one for each profile that the data allows: a band on every bin and on every zone's mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forcedflow.errors import SettingsError
from forcedflow.market.tape import MarketPass
from forcedflow.settings import MarketSettings
from forcedflow.study.calibration.offsets import with_holders
from forcedflow.tables import LAYERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forcedflow.data.series import Dataset
    from forcedflow.market.price_map import PriceMap
    from forcedflow.study.calibration.fit import Calibration
    from forcedflow.tables import Events
    from forcedflow.venues import Profile

__all__ = ["Ensemble", "MapBand"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class MapBand:
    """The maps of an ensemble at one close."""

    bins: IntArray
    """Shape (g,): bin ``k`` is centred on ``exp(k * bin_width)``."""
    bin_width: float
    mass: FloatArray
    """Shape (members, 4, g): by layer (``LAYERS``) and bin, base units."""
    open_interest: float
    level: float

    def quantile(self, q: float) -> FloatArray:
        """Return a quantile over the members of each bin's mass, shape (4, g)."""
        found: FloatArray = np.quantile(self.mass, q, axis=0)
        return found

    @property
    def band(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper end of each bin's mass, shape (4, g)."""
        return self.quantile((1 - self.level) / 2), self.quantile((1 + self.level) / 2)

    def between(self, one: float, other: float) -> FloatArray:
        """Return each member's mass between two prices by layer, shape (members, 4), as the live map counts it."""
        near = 1e-9 * self.bin_width
        prices = np.exp(self.bins * self.bin_width)
        inside = (prices >= min(one, other) * (1 - near)) & (prices <= max(one, other) * (1 + near))
        summed: FloatArray = self.mass[:, :, inside].sum(axis=2)
        return summed


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """One market and the profiles that may hold it; each member is a pass of the map itself, nothing is approximated.

    Parameters
    ----------
    dataset
        What is replayed.
    profiles
        The members, such as the bootstrap draws of a calibration.
    settings
        How the map is kept; the members replace its profile.
    level
        Of the bands.
    """

    dataset: Dataset
    profiles: Sequence[Profile]
    settings: MarketSettings
    level: float = 0.9

    def __post_init__(self) -> None:
        if not self.profiles:
            raise SettingsError("an ensemble needs at least one profile")
        if not 0 < self.level < 1:
            raise SettingsError(f"level must lie between 0 and 1, was {self.level}")

    @classmethod
    def of(
        cls, dataset: Dataset, calibration: Calibration, settings: MarketSettings | None = None, members: int = 50
    ) -> Ensemble:
        """Return the ensemble of a calibration's first ``members`` bootstrap draws, at its hazard and level."""
        chosen = (settings or MarketSettings()).model_copy(
            update={"hazard_per_hour": calibration.hazard_per_hour, "profile": None}
        )
        return cls(dataset, calibration.profiles(members), chosen, calibration.settings.level)

    def _passes(self) -> list[MarketPass]:
        settings = self.settings.model_copy(update={"profile": None})
        return [MarketPass(with_holders(self.dataset, profile), settings) for profile in self.profiles]

    def at(self, bar: int) -> MapBand:
        """Return all members' maps at the close of a bar."""
        passes = self._passes()
        for one in passes:
            one.advance(bar + 1)
        maps: list[PriceMap] = [one.map for one in passes]
        lowest = min(int(m.bins[0]) for m in maps)
        highest = max(int(m.bins[-1]) for m in maps)
        mass = np.zeros((len(maps), len(LAYERS), highest - lowest + 1))
        for row, member in zip(mass, maps, strict=True):
            first = int(member.bins[0]) - lowest
            row[:, first : first + len(member.bins)] = member.mass()
        bins = np.arange(lowest, highest + 1)
        return MapBand(bins, maps[0].bin_width, mass, passes[0].map.open_interest, self.level)

    def zone_mass(self, events: Events) -> FloatArray:
        """Return what each member holds between an event's edges before its bar, shape (members, events).

        On the event's side of the market, as a share of open interest, as the tape's ``mass_before`` is; NaN where an
        event has no zone.
        """
        found = np.full((len(self.profiles), len(events.bar)), np.nan)
        zoned = np.flatnonzero(np.isfinite(events.near) & np.isfinite(events.far))
        for row, one in zip(found, self._passes(), strict=True):
            for e in zoned:
                one.advance(int(events.bar[e]))
                side = 0 if events.side[e] < 0 else 1
                oi = one.map.open_interest
                held = one.map.between(float(events.near[e]), float(events.far[e]))
                row[e] = held[side::2].sum() / oi if oi > 0 else np.nan
        return found

    def zone_bands(self, events: Events) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper end of each event's zone mass over the members, shape (events,); NaN without one."""
        mass = self.zone_mass(events)
        low, high = np.quantile(mass, [(1 - self.level) / 2, (1 + self.level) / 2], axis=0)
        return low, high
