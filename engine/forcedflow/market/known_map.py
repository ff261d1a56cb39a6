"""Maps that somebody else measured or estimated, read as the live one is: for comparing, scoring and drawing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.sources import coinglass, hyperliquid
from forcedflow.data.sources.json_file import read_json
from forcedflow.errors import DataError
from forcedflow.market.price_map import PriceMap
from forcedflow.tables import LAYERS

if TYPE_CHECKING:
    from forcedflow.tables import MapSnapshots

__all__ = ["KnownMap", "read_map"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_LONG_LIQ, _SHORT_LIQ = LAYERS.index("long_liq"), LAYERS.index("short_liq")
_BIN_BPS: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class KnownMap(PriceMap):
    """A map at one moment, as its maker gave it; nothing in it was estimated here."""

    ts: int
    """When it was made, nanoseconds UTC: not known before."""
    source: str
    """Who made it, and of what."""
    width: float
    first: int
    held: FloatArray
    """Shape (4, g): mass by layer and bin, base units."""
    total: float = np.nan
    """Open interest that the mass is part of, where its maker says it."""

    @property
    def bin_width(self) -> float:
        """Width of a bin, log price."""
        return self.width

    @property
    def bins(self) -> IntArray:
        """Shape (g,): bin numbers, consecutive."""
        return np.arange(self.first, self.first + self.held.shape[1])

    @property
    def open_interest(self) -> float:
        """Open interest that the mass is part of, base units; NaN where its maker does not say it."""
        return self.total

    def mass(self) -> FloatArray:
        """Return the mass of each layer in each bin, shape (4, g), base units."""
        return self.held.copy()

    @classmethod
    def of_levels(
        cls,
        price: FloatArray,
        side: npt.NDArray[np.integer],
        mass: FloatArray,
        *,
        ts: int,
        source: str,
        step: float = 0.0,
        bin_bps: float = _BIN_BPS,
    ) -> KnownMap:
        """Put liquidation levels on a grid, each split between its two nearest bins, as the live map does it.

        Parameters
        ----------
        price, side, mass
            Shape (n,): levels, quote currency; +1 where longs are liquidated, -1 shorts; base units.
        step
            Width of the price bucket that a level is the centre of, quote currency: its mass is spread evenly over it.
        """
        width = bin_bps * 1e-4
        points = np.maximum(1, np.ceil(step / price / width)).astype(np.int64)
        level = np.repeat(np.arange(len(price)), points)
        place = np.arange(len(level)) - np.repeat(np.cumsum(points) - points, points)  # within the level's bucket
        spread = (place + 0.5) / points[level] - 0.5
        at = np.log(price[level] + spread * step) / width
        low = np.floor(at).astype(np.int64)
        share = at - low
        first = int(low.min()) if len(low) else 0
        held = np.zeros((len(LAYERS), int(low.max()) - first + 2 if len(low) else 1))
        layer = np.where(side[level] > 0, _LONG_LIQ, _SHORT_LIQ)
        part = mass[level] / points[level]
        np.add.at(held, (layer, low - first), part * (1 - share))
        np.add.at(held, (layer, low + 1 - first), part * share)
        return cls(ts, source, width, first, held)

    @classmethod
    def of_snapshot(cls, snapshots: MapSnapshots, index: int = -1, *, source: str = "forcedflow") -> KnownMap:
        """Return one of a run's own snapshots."""
        return cls(
            int(snapshots.ts[index]),
            source,
            snapshots.bin_width,
            int(snapshots.bins[0]),
            snapshots.mass[index].astype(np.float64),
            float(snapshots.oi[index]),
        )


def read_map(path: str | Path, coin: str | None = None, *, bin_bps: float = _BIN_BPS) -> KnownMap:
    """Read a map from a file of any of the forms below.

    - ``.parquet``: what ``forcedflow map --out FILE.parquet`` writes;
    - positions of known wallets with their ``liquidation_px``: positions that no price liquidates are left out;
    - levels summed over known wallets, several coins in a file: USD at entry, taken as base units at each level;
    - a heatmap saved from CoinGlass: its last column, USD taken as base units at each level; a level above the last
      close is taken to be shorts', one below it longs'.

    Parameters
    ----------
    coin
        Which one, of a file with several.
    bin_bps
        Width of a bin, basis points; a ``.parquet`` has its own.

    Raises
    ------
    DataError
        For a file of another form, or one that needs a ``coin``.
    """
    if Path(path).suffix == ".parquet":
        return _own(path)
    content = read_json(path)
    if "positions" in content:
        known = hyperliquid.read_positions(path)
        ends = np.isfinite(known.liquidation_price)
        return KnownMap.of_levels(
            known.liquidation_price[ends], known.side[ends], known.qty[ends],
            ts=known.ts, source=f"{known.coin} positions of known wallets", bin_bps=bin_bps,
        )  # fmt: skip
    if "leverageBuckets" in content:
        maps = hyperliquid.read_map(path)
        if coin is None or coin not in maps:
            raise DataError(f"say which coin: {', '.join(sorted(maps))}; was {coin!r}", file=path)
        levels = maps[coin]
        rungs = np.unique(levels.level)
        step = float(np.diff(rungs).min()) if len(rungs) > 1 else 0.0
        return KnownMap.of_levels(
            levels.level, levels.side, levels.usd / levels.level, ts=levels.ts, step=step, bin_bps=bin_bps,
            source=f"{coin} positions of known wallets, summed",
        )  # fmt: skip
    vendor = coinglass.read_heatmap(path)
    side = np.where(vendor.level > vendor.price, -1, 1)
    return KnownMap.of_levels(
        vendor.level, side, vendor.usd / vendor.level, ts=vendor.ts, step=vendor.step, bin_bps=bin_bps,
        source="CoinGlass heatmap, last column",
    )  # fmt: skip


def _own(path: str | Path) -> KnownMap:
    import pyarrow as pa  # noqa: PLC0415  (0.3 s that other forms do not need)
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(path)
        facts = table.schema.metadata
        bins, prices = table["bin"].to_numpy(), table["price"].to_numpy()
        layers = [table[name].to_numpy() for name in LAYERS]
        ts, oi, width = int(facts[b"ts"]), float(facts[b"open_interest"]), float(facts[b"bin_width"])
    except FileNotFoundError:
        raise DataError("no such file", file=path) from None
    except (KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
        raise DataError(f"not a map that this version wrote: {error!r}", file=path) from None
    if not np.allclose(np.log(prices), bins * width, rtol=1e-9, atol=1e-9):
        raise DataError("prices are not the centres of their bins", file=path, field="price")
    first = int(bins.min()) if len(bins) else 0
    held = np.zeros((len(LAYERS), int(bins.max()) - first + 1 if len(bins) else 1))
    held[:, bins - first] = layers
    return KnownMap(ts, "forcedflow", width, first, held, oi)
