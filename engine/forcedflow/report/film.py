"""A run or a dataset as something to watch: any window of its bars, with the map as it stood bar by bar.

The map of a window is made by the market pass itself, which goes on from where it stands, or from the last checkpoint
before the window; windows that were seen are kept. Where the run's data are not at hand, the record's own pictures of
the map serve.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from dataclasses import dataclass, fields, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from forcedflow.data import load_dataset
from forcedflow.errors import ForcedFlowError
from forcedflow.market.tape import MarketPass, make_tape
from forcedflow.record import BARS, read
from forcedflow.report.payload import brightness, scene_payload, shares
from forcedflow.settings import MarketSettings, parse
from forcedflow.tables import EventKind, MapSnapshots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from forcedflow.data.series import Dataset
    from forcedflow.record import Run, Table
    from forcedflow.tables import Event, Events, FloatArray

__all__ = ["Film"]

_COLUMNS: Final = 600  # pictures of the map in a window
_KEPT: Final = 24  # windows
_TOLD: Final = 2_000  # events and fills of a window that are told
_CHECKPOINTS: Final = 32  # at most, and
_CHECKPOINT_BARS: Final = 2_000_000  # so many bars in all of them: a pass holds some 300 bytes a bar
_MARGIN: Final = 0.5  # log price beyond the window's own range in which the map is sent


@dataclass(frozen=True, slots=True)
class _Scene:
    """All bars, and what happened in them."""

    bars: Table
    events: Events
    equity: Table | None
    trades: Table | None
    fills: Table | None
    snapshots: MapSnapshots


class Film:
    """Windows of a run or a dataset; safe to ask from several threads.

    Parameters
    ----------
    scene
        All bars, and what happened in them.
    dataset
        What the map is made from; None where it is not at hand.
    settings
        How the map is kept.
    title
        What a reader is told that it is.
    notes
        Assumptions and warnings.
    """

    def __init__(
        self, scene: _Scene, dataset: Dataset | None, settings: MarketSettings, title: str, notes: list[str]
    ) -> None:
        self.title, self.notes = title, notes
        self._scene, self._settings = scene, settings
        total = shares(scene.snapshots, slice(None), slice(None)).sum(axis=1)
        self._scale = brightness(total)
        self._passes = None if dataset is None else _Passes(dataset, settings)
        self._seen: OrderedDict[tuple[int, int, int], dict[str, Any]] = OrderedDict()
        self._lock = Lock()

    @classmethod
    def of_dataset(cls, dataset: Dataset | str, market: Mapping[str, Any] | None = None) -> Self:
        """Take a dataset, its name in the catalog or its TOML file, through the market pass; nobody trades.

        Raises
        ------
        ForcedFlowError
            As ``load_dataset``, and for bad settings.
        """
        settings = parse(MarketSettings, dict(market or {}), "market")
        data = load_dataset(dataset) if isinstance(dataset, str) else dataset
        tape = make_tape(data, settings, snapshots=200)
        bars = {column: getattr(data.bars, column) for column in BARS} | tape.market_bars
        return cls(
            _Scene(bars, tape.events, None, None, None, tape.snapshots), data, settings, data.title, [*tape.notes]
        )

    @classmethod
    def of_run(cls, folder: str | Path) -> Self:
        """Take a record, and the dataset that it was made from where that is at hand and unchanged.

        Raises
        ------
        RecordError
            The folder is no record, or damaged.
        """
        run = read(folder)
        settings = parse(MarketSettings, dict(run.config.get("market", {})), "market")
        data, notes = _data_of(run)
        scene = _Scene(run.market_bars, run.events, run.equity, run.trades, run.fills, run.snapshots)
        title = f"{run.config['strategy']} on {run.config['dataset']}"
        return cls(scene, data, settings, title, [*run.summary.get("warnings", []), *notes])

    @property
    def bars(self) -> Table:
        """All bars, columns ``ts``, ``open``, ``high``, ``low``, ``close`` and more."""
        return self._scene.bars

    def __len__(self) -> int:
        return len(self._scene.bars["ts"])

    def window(self, first: int, last: int, step: int) -> dict[str, Any]:
        """Return what a page draws of the bars ``[first, last)``, ``step`` of them a candle, and what to tell of them.

        Parameters
        ----------
        first
            A multiple of ``step``; both ends are moved inside the bars.
        """
        first = min(max(first, 0), max(len(self) - 1, 0)) // step * step
        last = min(max(last, first + 1), len(self))
        key = (first, last, step)
        with self._lock:
            if key not in self._seen:
                self._seen[key] = self._window(*key)
                while len(self._seen) > _KEPT:
                    self._seen.popitem(last=False)
            self._seen.move_to_end(key)
            return self._seen[key]

    def _window(self, first: int, last: int, step: int) -> dict[str, Any]:
        scene, rows = self._scene, slice(first, last)
        bars = {name: column[rows] for name, column in scene.bars.items()}
        payload = scene_payload(
            bars,
            self._map(first, last, step, bars),
            events=_events(scene.events, first, last),
            equity=None if scene.equity is None else _moved(scene.equity, ("bar",), first, last),
            trades=None if scene.trades is None else _trades(scene.trades, first, last),
            market=self._settings.model_dump(),
            scale=self._scale,
            step=step,
        )
        return payload | {"first": first, "step": step, "told": self._told(first, last)}

    def _map(self, first: int, last: int, step: int, bars: Table) -> MapSnapshots:
        """Return the map at the close before the window and at candles' closes in it, bars counted from its first."""
        if self._passes is None:
            chosen = np.flatnonzero(self._scene.snapshots.bar < last - 1)
            start = np.searchsorted(self._scene.snapshots.bar, first, side="right") - 1
            chosen = chosen[max(int(start), 0) :]
            kept = self._scene.snapshots
            return replace(
                kept, bar=kept.bar[chosen] - first, ts=kept.ts[chosen], mass=kept.mass[chosen], oi=kept.oi[chosen]
            )
        every = step * math.ceil((last - first) / step / _COLUMNS)
        closes = np.arange(first - 1, last - 1, every)
        closes = closes[closes >= 0]
        market = self._passes.before(int(closes[0]) + 1 if len(closes) else 0)
        width = market.map.bin_width
        low = math.floor((math.log(float(bars["low"].min())) - _MARGIN) / width)
        high = math.ceil((math.log(float(bars["high"].max())) + _MARGIN) / width)
        mass = np.zeros((len(closes), 4, high - low + 1), dtype=np.float32)
        oi = np.zeros(len(closes))
        for k, close in enumerate(closes):
            self._passes.advance(int(close) + 1)
            _lay(mass[k], low, market)
            oi[k] = market.map.open_interest
        return MapSnapshots(
            bar=closes - first,
            ts=market.dataset.bars.close_ts[closes],
            bins=np.arange(low, high + 1),
            bin_width=width,
            mass=mass,
            oi=oi,
        )

    def _told(self, first: int, last: int) -> list[list[Any]]:
        """Return (bar, kind, words) of what happened in some bars, in order."""
        events, fills = self._scene.events, self._scene.fills
        rows = np.flatnonzero((events.bar >= first) & (events.bar < last))
        told = [(int(events.bar[k]), "event", _words(events.row(int(k)))) for k in rows[:_TOLD]]
        if fills is not None:
            filled = np.flatnonzero((fills["bar"] >= first) & (fills["bar"] < last))
            told += [(int(fills["bar"][k]), "fill", _filled(fills, int(k))) for k in filled[:_TOLD]]
        return [list(row) for row in sorted(told, key=lambda row: row[0])]


class _Passes:
    """One market pass that goes on, and copies of it from earlier bars to go back to."""

    def __init__(self, dataset: Dataset, settings: MarketSettings) -> None:
        count = len(dataset.bars)
        self._every = math.ceil(count / min(max(_CHECKPOINT_BARS // count, 1), _CHECKPOINTS))
        self._live = MarketPass(dataset, settings)
        self._kept = [self._copy()]

    def before(self, bar: int) -> MarketPass:
        """Return the pass, standing at ``bar`` or before it."""
        at = min(bar // self._every, len(self._kept) - 1)
        if not self._kept[at].bar <= self._live.bar <= bar:
            self._live = self._copy(self._kept[at])
        return self._live

    def advance(self, bar: int) -> None:
        """Take the pass on to ``bar``; leave a copy at every checkpoint on the way."""
        while self._live.bar < bar:
            due = len(self._kept) * self._every
            self._live.advance(min(bar, due) if due > self._live.bar else bar)
            if self._live.bar == due:
                self._kept.append(self._copy())

    def _copy(self, given: MarketPass | None = None) -> MarketPass:
        """Copy all but what never changes: the dataset and its bars."""
        given = given or self._live
        data = given.dataset
        fixed: list[Any] = [data, *(getattr(data.bars, field.name) for field in fields(data.bars))]
        return copy.deepcopy(given, {id(one): one for one in fixed})


def _data_of(run: Run) -> tuple[Dataset | None, list[str]]:
    config = run.config
    try:
        data = load_dataset(config["dataset"], config.get("start"), config.get("end"), tuple(config.get("repair", ())))
    except (ForcedFlowError, OSError) as error:
        return None, [f"the map moves in the record's own steps: {error}"]
    if data.data_hash != config.get("data_hash"):
        return None, ["the map moves in the record's own steps: the dataset has changed since the run"]
    return data, []


def _lay(mass: FloatArray | Any, low: int, market: MarketPass) -> None:
    """Copy the part of the live map that fits onto a grid that begins with bin ``low``."""
    bins, now = market.map.bins, market.map.mass()
    begin, end = max(low, int(bins[0])), min(low + mass.shape[1], int(bins[-1]) + 1)
    if end > begin:
        mass[:, begin - low : end - low] = now[:, begin - bins[0] : end - bins[0]]


def _events(events: Events, first: int, last: int) -> Events:
    """Return the events up to the window's end that are about it: its own, and those of zones that reach into it."""
    inside = events.bar < last
    alive = events.group[inside & (events.bar >= first)]
    chosen = events[inside & ((events.bar >= first) | (np.isin(events.group, alive) & (events.group != 0)))]
    return chosen.replace(bar=chosen.bar - first)


def _moved(table: Table, columns: tuple[str, ...], first: int, last: int) -> Table:
    rows = (table[columns[0]] >= first) & (table[columns[0]] < last)
    return {name: column[rows] - (first if name in columns else 0) for name, column in table.items()}


def _trades(trades: Table, first: int, last: int) -> Table:
    rows = (trades["entry_bar"] < last) & (trades["exit_bar"] >= first)
    moved = {name: column[rows] for name, column in trades.items()}
    return moved | {name: moved[name] - first for name in ("entry_bar", "exit_bar")}


def _words(event: Event) -> str:
    title = EventKind(event.kind).title
    if event.kind is EventKind.FORCED_FLOW:
        return f"{title}: {'bought' if event.side > 0 else 'sold'} {event.fuel:.2f} bars of volume"
    zone = "" if math.isnan(event.near) else f" {event.near:,.6g} – {event.far:,.6g}, fuel {event.fuel:.1f}"
    return f"{title} {'above' if event.side > 0 else 'below'}{zone}"


def _filled(fills: Table, k: int) -> str:
    side = "bought" if fills["side"][k] > 0 else "sold"
    return f"{fills['reason'][k]}: {side} {fills['qty'][k]:.6g} at {fills['price'][k]:,.6g}"
