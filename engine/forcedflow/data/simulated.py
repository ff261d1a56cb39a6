"""What a simulated market leaves: bars and venue data like a real one's, the true map, and their files."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forcedflow.data.bars import Bars
from forcedflow.data.catalog import shipped_folder
from forcedflow.data.series import Dataset, Funding, LiquidatedVolume, OpenInterest, VenueData
from forcedflow.errors import DataError, RecordError
from forcedflow.kernels import simulation as kernels
from forcedflow.tables import LAYERS, FloatArray, IntArray, MapSnapshots
from forcedflow.venues import AtrStop, Profile, Tier, dump_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forcedflow.data.agents import AgentKind, SimulationSettings

__all__ = [
    "BARS_FILE",
    "COLUMNS",
    "COMMAND",
    "LOT",
    "MAP_FILE",
    "SimulatedMarket",
    "TrueMap",
    "VenueFlows",
    "find_true_map",
    "read_true_map",
    "true_profile",
    "units",
    "write",
    "write_dataset",
]

COLUMNS: Final = ("open", "high", "low", "close", *kernels.FLOWS)
BARS_FILE: Final = "simulated.parquet"
MAP_FILE: Final = "simulated_map.parquet"
COMMAND: Final = "python -m forcedflow.data.simulation --out datasets"
LOT: Final = 0.001
"""Base units of one lot: quantities are whole lots, so that they are conserved exactly."""
TRUE_MAP_FILE: Final = "true_map.parquet"
"""In the folder of a dataset that was simulated."""
FUNDING_HOURS: Final = 8


def units(lots: IntArray) -> FloatArray:
    """Return base units, correctly rounded."""
    units: FloatArray = lots / round(1 / LOT)
    return units


@dataclass(frozen=True, slots=True)
class TrueMap:
    """Mass by threshold at the close of some bars, over all venues, in long form; ordered by time, layer and bin."""

    ts: IntArray
    """Close of the bar, int64 ns UTC."""
    layer: IntArray
    """Index into ``LAYERS``."""
    bin: IntArray
    """Bin ``k`` is centred on ``exp(k * bin_bps / 10_000)``; a threshold belongs to the nearest bin."""
    lots: IntArray
    """Mass, in lots of ``LOT`` base units. In a snapshot the longs' layers sum to open interest; so do the shorts'."""

    def snapshots(self, ts: IntArray, interval: int, bin_bps: float) -> MapSnapshots:
        """Return the same on a heatmap's grid, for bars that open at ``ts`` (shape (bars,), ns), ``interval`` long."""
        at, row = np.unique(self.ts, return_inverse=True)
        lowest = int(self.bin.min(initial=0)) if len(self.bin) else 0
        bins = np.arange(lowest, int(self.bin.max(initial=lowest)) + 1)
        mass = np.zeros((len(at), len(LAYERS), len(bins)), np.float32)
        mass[row, self.layer, self.bin - lowest] = units(self.lots)
        oi = mass[:, ::2].sum(axis=(1, 2), dtype=np.float64)
        return MapSnapshots(np.searchsorted(ts + interval, at), at, bins, bin_bps * 1e-4, mass, oi)


@dataclass(frozen=True, slots=True)
class VenueFlows:
    """What happened at one venue; arrays of shape (bars,), base units."""

    venue: str
    symbol: str
    volume: FloatArray
    open_interest: FloatArray
    """At the bar's close."""
    long_liquidated: FloatArray
    short_liquidated: FloatArray
    long_stopped: FloatArray
    short_stopped: FloatArray


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """What happened, and what real markets keep to themselves. Arrays of shape (bars,), base units over all venues."""

    settings: SimulationSettings
    ts: IntArray
    """Start of the bar, int64 ns UTC."""
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    open_interest: FloatArray
    """At the bar's close."""
    long_liquidated: FloatArray
    short_liquidated: FloatArray
    long_stopped: FloatArray
    short_stopped: FloatArray
    premium: FloatArray
    """Traded price over value, log, mean over the bar."""
    venues: tuple[VenueFlows, ...]
    true_map: TrueMap

    @property
    def interval(self) -> int:
        """Nanoseconds of a bar."""
        return self.settings.interval_minutes * 60 * 10**9

    @property
    def snapshots(self) -> MapSnapshots:
        """The true map in the form that an estimated one has."""
        return self.true_map.snapshots(self.ts, self.interval, self.settings.bin_bps)

    def profile(self, venue: int = 0) -> Profile:
        """Return what a venue's holders are: the profile that a perfect calibration would find."""
        return true_profile(self.settings.all_venues[venue].agents)

    def funding(self) -> Funding:
        """Return what longs pay shorts every eight hours.

        The mean premium P since the last payment plus what is left of interest (0.01%) within 0.05%:
        P + clamp(I - P, -0.05%, 0.05%). Binance's help, "Introduction to Binance Futures Funding Rates".
        """
        close = self.ts + self.interval
        paid = (close - 1) // (FUNDING_HOURS * 3600 * 10**9)
        number, row, bars = np.unique(paid, return_inverse=True, return_counts=True)
        premium = np.bincount(row, self.premium) / bars
        due = (number + 1) * (FUNDING_HOURS * 3600 * 10**9)
        whole = due <= close[-1]
        rate = premium + np.clip(1e-4 - premium, -5e-4, 5e-4)
        return Funding.from_columns(due[whole], rate[whole])

    def dataset(self, profile: str | Profile | None = None) -> Dataset:
        """Return what a replay replays.

        Parameters
        ----------
        profile
            Assumed holders, of every venue; where left out, the true ones. Without agents: ``hyperliquid-like``.
        """
        columns = {name: getattr(self, name) for name in ("ts", "open", "high", "low", "close", "volume")}
        bars, _ = Bars.from_columns(columns, self.interval)
        funding, close = self.funding(), bars.close_ts
        venues = []
        for number, flows in enumerate(self.venues):
            truth = self.profile(number) if self.settings.all_venues else "hyperliquid-like"
            venues.append(
                VenueData(
                    venue=flows.venue,
                    symbol=flows.symbol,
                    contract="linear",
                    profile=profile or truth,
                    open_interest=OpenInterest.from_columns(close, flows.open_interest),
                    funding=funding,
                    liquidations=LiquidatedVolume.from_columns(close, flows.long_liquidated, flows.short_liquidated),
                )
            )
        return Dataset(
            name=f"simulated-{self.settings.seed}",
            title="SIMULATED market of leveraged agents" if self.settings.all_venues else "SIMULATED walk",
            bars=bars,
            venues=tuple(venues),
            source="forcedflow.data.simulation",
            licence="Apache-2.0",
            notes=(_NOTE,),
        )


_NOTE: Final = "SIMULATED: prices and open interest come from a model, not from a market"


def true_profile(agents: Sequence[AgentKind], name: str = "simulated-truth") -> Profile:
    """Return agents as a holder profile: one tier a kind, shares of what they open, stops apart from leverage."""
    total = sum(agent.weight for agent in agents)
    stops: dict[float, float] = {}
    for agent in agents:
        if agent.stop_share > 0:
            stops[agent.stop_atr] = stops.get(agent.stop_atr, 0.0) + agent.stop_share * agent.weight / total
    return Profile(
        name=name,
        title="What holders of a simulated market are",
        source="forcedflow.data.simulation: known, not estimated",
        tiers=tuple(Tier(leverage=a.leverage, weight=a.weight / total, notional=a.notional) for a in agents),
        stops=tuple(AtrStop(kind="atr", share=share, multiple=multiple) for multiple, share in sorted(stops.items())),
    )


def write(market: SimulatedMarket, folder: Path) -> tuple[Path, Path]:
    """Write bars and true map, each whole or not at all, with settings and command in the files' metadata.

    Returns
    -------
    bars, map
        Paths of ``simulated.parquet`` and ``simulated_map.parquet`` in ``folder``.
    """
    bars = pa.table({"ts": market.ts} | {name: getattr(market, name) for name in COLUMNS})
    notes = {"simulated": "yes", "command": COMMAND, "lot": str(LOT), "settings": market.settings.model_dump_json()}
    paths = folder / BARS_FILE, folder / MAP_FILE
    packed = {"ts": "DELTA_BINARY_PACKED"}
    _write_table(bars.replace_schema_metadata(notes), paths[0], list(COLUMNS), packed)
    packed |= {"bin": "DELTA_BINARY_PACKED", "lots": "BYTE_STREAM_SPLIT"}
    _write_table(_map_table(market.true_map).replace_schema_metadata(notes), paths[1], ["layer"], packed)
    return paths


def write_dataset(market: SimulatedMarket, folder: str | Path) -> Path:
    """Write a dataset's folder, whole or not at all, and return the path of its ``dataset.toml``.

    Beside that: ``bars.parquet``, ``venue_N.parquet`` (open interest and realised forced orders) and
    ``profile_N.toml`` (the true holders) of each venue, ``funding.parquet``, ``true_map.parquet``, ``settings.json``.

    Raises
    ------
    RecordError
        Where the folder exists or cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise RecordError(f"{folder} exists; choose another folder or remove it first")
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        scratch.mkdir(parents=True)
        _write_files(market, scratch)
        scratch.replace(folder)
    except OSError as error:
        raise RecordError(f"cannot write {folder}: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder / "dataset.toml"


def _write_files(market: SimulatedMarket, folder: Path) -> None:
    settings, funding = market.settings, market.funding()
    minutes = f"{settings.interval_minutes}min"
    bars = {name: getattr(market, name) for name in ("ts", "open", "high", "low", "close", "volume", "premium")}
    pq.write_table(pa.table(bars), folder / "bars.parquet", compression="zstd")
    pq.write_table(pa.table({"ts": funding.ts, "rate": funding.rate}), folder / "funding.parquet")
    true_map = _map_table(market.true_map).replace_schema_metadata({"settings": settings.model_dump_json()})
    pq.write_table(true_map, folder / TRUE_MAP_FILE, compression="zstd")
    (folder / "settings.json").write_text(settings.model_dump_json(indent=2) + "\n", encoding="utf-8")
    at = 'ts = { column = "ts", unit = "ns" }'
    lines = [
        f'title = "SIMULATED market, seed {settings.seed}"',
        'source = "forcedflow simulate; settings.json says what"',
        'licence = "Apache-2.0"',
        f"notes = {json.dumps([_NOTE])}",
        "",
        "[bars]",
        'file = "bars.parquet"',
        f'interval = "{minutes}"',
        f"columns = {{ {at} }}",
    ]
    for number, flows in enumerate(market.venues):
        table = {"ts": market.ts} | {name: getattr(flows, name) for name in kernels.FLOWS}
        pq.write_table(pa.table(table), folder / f"venue_{number}.parquet", compression="zstd")
        profile = "hyperliquid-like"
        if settings.all_venues:
            profile = f"profile_{number}.toml"
            (folder / profile).write_text(dump_profile(market.profile(number)), encoding="utf-8")
        lines += [
            "",
            "[[venues]]",
            f"id = {json.dumps(flows.venue)}",
            f"symbol = {json.dumps(flows.symbol)}",
            f'profile = "{profile}"',
            "",
            "[venues.open_interest]",
            f'file = "venue_{number}.parquet"',
            f'columns = {{ {at}, value = "open_interest" }}',
            f'period = "{minutes}"',
            "",
            "[venues.liquidations]",
            f'file = "venue_{number}.parquet"',
            f'columns = {{ {at}, long = "long_liquidated", short = "short_liquidated" }}',
            f'period = "{minutes}"',
            "",
            "[venues.funding]",
            'file = "funding.parquet"',
            f'columns = {{ {at}, value = "rate" }}',
        ]
    (folder / "dataset.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def find_true_map(dataset: str | Path) -> Path | None:
    """Return where the true map of a dataset lies, by its name or TOML path; None where there is none."""
    named = Path(dataset)
    if named.suffix == ".toml":
        path = named.with_name(TRUE_MAP_FILE)
    elif str(dataset) == "simulated":
        path = shipped_folder("datasets") / MAP_FILE
    else:
        return None
    return path if path.is_file() else None


def read_true_map(path: str | Path, bars: Bars) -> MapSnapshots:
    """Read the true map that lies beside a simulated dataset, at those of its closes that ``bars`` has.

    Raises
    ------
    DataError
        For a file that is not such a map, or has no close in common with the bars.
    """
    try:
        table = pq.read_table(path)
        settings = json.loads((table.schema.metadata or {})[b"settings"])
        layers = table["layer"].unify_dictionaries().combine_chunks()
        index = np.array([LAYERS.index(name) for name in layers.dictionary.to_pylist()])
        layer = index[layers.indices.to_numpy()]
        columns = [table[name].to_numpy().astype(np.int64) for name in ("ts", "bin", "lots")]
    except (KeyError, ValueError, AttributeError, OSError) as error:
        raise DataError(f"not the true map of a simulated market: {error}", file=path) from None
    inside = np.isin(columns[0], bars.close_ts)
    if not inside.any():
        raise DataError("the true map has no close in common with the bars", file=path)
    truth = TrueMap(columns[0][inside], layer[inside], columns[1][inside], columns[2][inside])
    return truth.snapshots(bars.ts, bars.interval, float(settings["bin_bps"]))


def _map_table(truth: TrueMap) -> pa.Table:
    layer = pa.DictionaryArray.from_arrays(pa.array(truth.layer, pa.int8()), pa.array(LAYERS))
    return pa.table(
        {
            "ts": truth.ts,
            "layer": layer,
            "bin": pa.array(truth.bin, pa.int32()),
            "lots": pa.array(truth.lots, pa.int32()),
        }
    )


def _write_table(table: pa.Table, path: Path, dictionary: list[str], encoding: dict[str, str]) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(
            table,
            scratch,
            compression="zstd",
            compression_level=19,
            use_dictionary=dictionary,  # pyright: ignore[reportArgumentType]  (its stub forgets lists)
            column_encoding=encoding,
        )
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
