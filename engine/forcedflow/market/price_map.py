"""What every map of forced orders can be asked, whoever made it: mass by price bin and layer."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

__all__ = ["PriceMap"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class PriceMap(ABC):
    """Mass by price bin and layer, base units. Bin ``k`` is centred on ``exp(k * bin_width)``."""

    __slots__ = ()

    @property
    @abstractmethod
    def bin_width(self) -> float:
        """Width of a bin, log price."""

    @property
    @abstractmethod
    def bins(self) -> IntArray:
        """Shape (g,): bin numbers, consecutive."""

    @property
    @abstractmethod
    def open_interest(self) -> float:
        """Open interest that the mass is part of, base units; NaN where it is not known."""

    @abstractmethod
    def mass(self) -> FloatArray:
        """Return the mass of each layer in each bin, shape (4, g), layers as in ``tables.LAYERS``, base units."""

    @property
    def prices(self) -> FloatArray:
        """Shape (g,): the centre of each bin."""
        centres: FloatArray = np.exp(self.bins * self.bin_width)
        return centres

    def density(self) -> FloatArray:
        """Return mass per 1% of price as a share of open interest, shape (4, g); zeros without open interest."""
        oi = self.open_interest
        return self.mass() * (0.01 / self.bin_width / oi if oi > 0 else 0.0)

    def between(self, one: float, other: float) -> FloatArray:
        """Return the mass of each layer in the bins centred between two prices, shape (4,), base units."""
        near = 1e-9 * self.bin_width  # a zone's edge is the centre of a bin
        inside = (self.prices >= min(one, other) * (1 - near)) & (self.prices <= max(one, other) * (1 + near))
        summed: FloatArray = self.mass()[:, inside].sum(axis=1)
        return summed
