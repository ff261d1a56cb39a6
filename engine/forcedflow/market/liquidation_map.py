"""The map as a caller sees it: what is where, in prices and shares, at the bar where the market pass stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forcedflow.market.price_map import PriceMap
from forcedflow.tables import LAYERS

if TYPE_CHECKING:
    from forcedflow.kernels import Records
    from forcedflow.kernels.liquidation_map import MapArrays

__all__ = ["LiquidationMap"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class LiquidationMap(PriceMap):
    """Mass by price bin and layer, over all venues: read it at any event; it changes only as the replay goes on.

    All masses are base units; an inverse contract's are converted at the bin's own price.
    """

    def __init__(self, arrays: MapArrays) -> None:
        self.take(arrays)

    def __getstate__(self) -> MapArrays:
        """Return what a copy is made of: the views below are of these arrays, and a copy's of its own."""
        return self._arrays

    def __setstate__(self, arrays: MapArrays) -> None:
        self.take(arrays)

    @property
    def arrays(self) -> MapArrays:
        """The kernels' own state."""
        return self._arrays

    @property
    def venues(self) -> Records:
        """Shape (V,): each venue's sums and ledger, native units."""
        return self._arrays.venues

    @property
    def bin_width(self) -> float:
        """Width of a bin, log price."""
        return float(self._arrays.head.width[0])

    @property
    def bins(self) -> IntArray:
        """Shape (g,): bin numbers; bin ``k`` is centred on ``exp(k * bin_width)``."""
        first = int(self._arrays.head.first[0])
        return np.arange(first, first + self._arrays.stored.shape[2])

    @property
    def open_interest(self) -> float:
        """Open interest at the last settled stamps, base units."""
        return self._open_interest.item()

    @property
    def coverage(self) -> tuple[float, float]:
        """Located share of open interest, of longs and of shorts."""
        longs, shorts = self._arrays.head.coverage[0]
        return float(longs), float(shorts)

    def mass(self) -> FloatArray:
        """Return the mass of each layer in each bin, shape (4, g), layers as in ``tables.LAYERS``, base units."""
        first, held = self.held()
        total = np.zeros(self._arrays.stored.shape[1:])
        begin = first - int(self._head["first"][0])
        total[:, begin : begin + held.shape[1]] = held
        return total

    def held(self) -> tuple[int, FloatArray]:
        """Return the mass of each layer, shape (4, b), in the bins that may hold any, and the number of the first.

        A fraction of the grid, most of which is room for price to move.
        """
        stored, venues, first = self._arrays.stored, self._venues, self._head["first"].item()
        beyond = first + stored.shape[2]  # what leaves the grid is beyond any price it could reach
        found: list[tuple[int, int, int, int, int]] = []
        bounds = zip(venues["low"].tolist(), venues["high"].tolist(), venues["origin"].tolist(), strict=True)
        for v, (low, high, origin) in enumerate(bounds):
            for layer in range(len(LAYERS)):
                if low[layer] <= high[layer]:
                    moved = math.floor(origin[layer] + 0.5) if layer < 2 else 0  # stops stay where they are
                    begin, end = max(low[layer] + moved, first), min(high[layer] + moved + 1, beyond)
                    if begin < end:
                        found.append((v, layer, moved, begin, end))
        lowest = min((begin for *_, begin, _ in found), default=first)
        total = np.zeros((len(LAYERS), max((end for *_, end in found), default=lowest) - lowest))
        scale, inverse = venues["scale"].tolist(), venues["inverse"].tolist()
        for v, layer, moved, begin, end in found:
            # Both layers of a side fade alike.
            part = stored[v, layer, begin - moved - first : end - moved - first] * scale[v][layer % 2]
            if inverse[v]:
                part *= venues["face"][v] / self.prices[begin - first : end - first]
            total[layer, begin - lowest : end - lowest] += part
        return lowest, total

    def take(self, arrays: MapArrays) -> None:
        """Go on with other arrays: the next chunk's stamps, or the state of a checkpoint."""
        self._arrays = arrays
        # Views of another kind, since numpy's records take long to find a field.
        self._head, self._venues = arrays.head.view(np.ndarray), arrays.venues.view(np.ndarray)
        self._open_interest: FloatArray = self._head["oi"]

    def make_room(self, lowest: int, highest: int) -> None:
        """Grow the grid so that it reaches from bin ``lowest`` to ``highest``, and a fifth further where it grows."""
        first, size = int(self._arrays.head.first[0]), self._arrays.stored.shape[2]
        spare = size // 5
        begin = first if lowest >= first else lowest - spare
        end = first + size if highest < first + size else highest + 1 + spare
        stored = np.zeros((*self._arrays.stored.shape[:2], end - begin))
        stored[:, :, first - begin : first - begin + size] = self._arrays.stored
        self._arrays.head.first = begin
        self._arrays = self._arrays._replace(stored=stored)
