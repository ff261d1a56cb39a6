"""The map as a caller sees it: what is where, in prices and shares, at the bar where the market pass stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.market.price_map import PriceMap

if TYPE_CHECKING:
    from forcedflow.kernels import Records
    from forcedflow.kernels.liquidation_map import MapArrays

__all__ = ["LiquidationMap"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_CONTENT: Final = ("inverse", "face", "scale", "origin")
"""Fields of a venue that say what its stored mass means."""


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
        return self._open_interest.item()  # type: ignore[no-any-return]

    @property
    def coverage(self) -> tuple[float, float]:
        """Located share of open interest, of longs and of shorts."""
        longs, shorts = self._arrays.head.coverage[0]
        return float(longs), float(shorts)

    def mass(self) -> FloatArray:
        """Return the mass of each layer in each bin, shape (4, g), layers as in ``tables.LAYERS``, base units."""
        arrays = self._arrays
        total = np.zeros(arrays.stored.shape[1:])
        venues: Any = zip(arrays.stored, *(arrays.venues[name] for name in _CONTENT), strict=True)
        for stored, inverse, face, scale, origin in venues:
            layers = stored * np.tile(scale, 2)[:, None]  # both layers of a side fade alike
            for side, moved in enumerate(np.floor(origin + 0.5).astype(np.int64).tolist()):
                layers[side] = _moved(layers[side], moved)  # stops stay where they are
            if inverse:
                layers *= face / self.prices
            total += layers
        return total

    def take(self, arrays: MapArrays) -> None:
        """Go on with other arrays: the next chunk's stamps, or the state of a checkpoint."""
        self._arrays = arrays
        self._open_interest: FloatArray = arrays.head.view(np.ndarray)["oi"]  # at hand: a record's fields are slow

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


def _moved(layer: FloatArray, bins: int) -> FloatArray:
    """Return a layer moved up by whole bins; what leaves the grid is beyond any price it could reach."""
    if bins == 0:
        return layer
    moved = np.zeros_like(layer)
    if bins > 0:
        moved[bins:] = layer[:-bins]
    else:
        moved[:bins] = layer[-bins:]
    return moved
