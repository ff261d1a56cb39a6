"""The map as a caller sees it: what is where, in prices and shares, at the bar where the market pass stands."""

from __future__ import annotations

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
        moved = np.zeros((len(venues), len(LAYERS)), np.int64)  # stops stay where they are
        moved[:, :2] = np.floor(venues["origin"] + 0.5)
        low, high = venues["low"], venues["high"]
        some = low <= high
        begin = np.maximum(np.where(some, low + moved, first), first)
        end = np.minimum(np.where(some, high + moved + 1, first), first + stored.shape[2])  # beyond is out of reach
        some = begin < end
        if not some.any():
            return first, np.zeros((len(LAYERS), 0))
        lowest = int(begin[some].min())
        total = np.zeros((len(LAYERS), int(end[some].max()) - lowest))
        for v, layer in np.argwhere(some).tolist():
            venue, bins = venues[v], slice(begin[v, layer] - first, end[v, layer] - first)
            shift = int(moved[v, layer])
            part = stored[v, layer, bins.start - shift : bins.stop - shift] * venue["scale"][layer % 2]
            if venue["inverse"]:
                part *= venue["face"] / self.prices[bins]
            total[layer, begin[v, layer] - lowest : end[v, layer] - lowest] += part
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
