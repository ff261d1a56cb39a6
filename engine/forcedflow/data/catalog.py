"""The catalog: which datasets exist, where their files lie, and how they become a :class:`~.series.Dataset`.

A dataset is described in TOML (``datasets/README.md`` explains the form). The catalog holds one table a dataset; a
user's own file holds one dataset at its top level.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from forcedflow.data.bars import Bars
from forcedflow.data.entry import (
    BarsFile,
    CatalogEntry,
    FundingFile,
    LiquidationsFile,
    MarkFile,
    OpenInterestFile,
    SourceFile,
    Venue,
)
from forcedflow.data.leakage import leakage_check
from forcedflow.data.series import Dataset, Funding, LiquidatedVolume, OpenInterest, VenueData
from forcedflow.data.sources.hyperliquid import base_units
from forcedflow.data.sources.table import TimeColumn, read_columns, sha256
from forcedflow.data.times import Instant, instant_ns, time_text
from forcedflow.errors import CatalogError, DataError, did_you_mean
from forcedflow.settings import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "CatalogEntry",
    "Located",
    "check_dataset",
    "data_root",
    "dataset_names",
    "describe",
    "join_mark",
    "load_dataset",
    "locate",
    "shipped_folder",
    "warnings",
]

_VARIABLE: Final = "FORCEDFLOW_DATA"

# --- Where things are ---


def shipped_folder(name: Literal["datasets", "strategies"]) -> Path:
    """Return a folder that ships with the package: inside it when installed, beside ``engine`` in a clone.

    Raises
    ------
    CatalogError
        Where neither exists.
    """
    package = Path(__file__).resolve().parents[1]
    places = (package / name, package.parents[1] / name)
    for place in places:
        if place.is_dir():
            return place
    raise CatalogError(
        f"the folder {name} is missing: not at {places[0]}, not at {places[1]}; install the package again"
    )


def data_root() -> Path:
    """Return the folder of real market data: ``FORCEDFLOW_DATA``, else ``../shared/data`` beside the clone.

    Raises
    ------
    CatalogError
        Naming the variable, where the folder does not exist.
    """
    named = os.environ.get(_VARIABLE)
    root = Path(named).expanduser() if named else Path(__file__).resolve().parents[3].parent / "shared" / "data"
    if not root.is_dir():
        reason = f"{_VARIABLE} names {root}, which is no folder" if named else f"no folder {root}"
        raise CatalogError(f"real market data is not here: {reason}; set {_VARIABLE} to the folder that holds it")
    return root


def dataset_names() -> tuple[str, ...]:
    """Return the names in the catalog, in its order."""
    return tuple(_toml(_catalog_file()))


def describe(ref: str | Path) -> CatalogEntry:
    """Return the description of a dataset, by catalog name or by the path of a TOML file.

    Raises
    ------
    CatalogError
        Naming the file and every key that is wrong; for an unknown name, with the names that exist.
    """
    return locate(ref).entry


@dataclass(frozen=True, slots=True)
class Located:
    """An entry of a description, and what its relative paths are relative to."""

    name: str
    entry: CatalogEntry
    origin: Path
    """The TOML file."""
    in_catalog: bool

    def path(self, file: str) -> Path:
        """Find a file: a user's beside the TOML; the catalog's shipped with it, or in the data folder."""
        beside = self.origin.parent / file
        return beside if not self.in_catalog or beside.is_file() else data_root() / file

    def source(self, source: SourceFile, known: str | None = None) -> tuple[Path, str | None]:
        """Return a source's path and, where one is ``known`` or wanted, its sha256, which must be the wanted one.

        Raises
        ------
        CatalogError
            Where there is no such file, or another version of it.
        """
        path = self.path(source.file)
        if not path.is_file():
            raise CatalogError(f"{self.origin}: {self.name}: no file {path}")
        found = known or (None if source.sha256 is None else sha256(path))
        if source.sha256 not in {None, found}:
            wrong = f"{path} has sha256 {found}, not {source.sha256}: it is another version of the file"
            raise CatalogError(f"{self.origin}: {self.name}: {wrong}")
        return path, found

    def profile(self, venue: Venue) -> str:
        """Return the name or the path of a venue's holders."""
        return str(self.path(venue.profile)) if venue.profile.endswith(".toml") else venue.profile


def _catalog_file() -> Path:
    return shipped_folder("datasets") / "catalog.toml"


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogError(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"{file}: not readable as TOML: {error}") from None


def locate(ref: str | Path) -> Located:
    """Find and read the description of a dataset; :func:`describe` says what it raises."""
    named = str(ref)
    if isinstance(ref, Path) or named.endswith(".toml"):
        file = Path(ref).expanduser()
        return Located(file.stem, _parse(_toml(file), str(file)), file.resolve(), in_catalog=False)
    catalog = _catalog_file()
    entries = _toml(catalog)
    if named not in entries:
        known = ", ".join(entries)
        hint = did_you_mean(named, entries)
        raise CatalogError(
            f"no dataset {named!r}{hint}; the catalog has {known}; or give the path of a dataset's .toml file"
        )
    return Located(named, _parse(entries[named], f"{catalog}: {named}"), catalog, in_catalog=True)


def _parse(values: dict[str, Any], what: str) -> CatalogEntry:
    try:
        return CatalogEntry.model_validate(values)
    except ValidationError as error:
        raise CatalogError(
            f"{explain(error, what, CatalogEntry)}. The form is explained in datasets/README.md"
        ) from None


# --- Building a dataset ---


def load_dataset(
    ref: str | Path, start: Instant | None = None, end: Instant | None = None, repair: Sequence[str] = ()
) -> Dataset:
    """Read, validate and join the files of a dataset.

    Parameters
    ----------
    ref
        Name in the catalog, or path of a TOML file.
    start, end
        Only bars that open at ``start`` or later and are complete at ``end``.
    repair
        Mends of the bars (:data:`~.bars.REPAIRS`) beside those that the description names.

    Raises
    ------
    CatalogError
        For a description that is wrong, a file that is missing or has another sha256.
    DataError
        For data that cannot be used as it is; for open interest that knows the future (``leakage_check``).
    """
    build = _Build(locate(ref))
    return build.dataset(repair).between(start, end)


@dataclass(slots=True)
class _Build:
    """Reads one dataset and remembers what it read, mended and has to warn of."""

    at: Located
    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)

    def dataset(self, repair: Sequence[str]) -> Dataset:
        entry = self.at.entry
        bars = self.bars(entry.bars, repair)
        if entry.mark is not None:
            bars = self.with_mark(bars, entry.mark)
        fine = None if entry.finer is None else self.bars(entry.finer)
        venues = tuple(self.venue(venue, bars) for venue in entry.venues)
        self.notes.extend(warnings(venues))
        return Dataset(
            name=self.at.name,
            bars=bars,
            venues=venues,
            **entry.facts(),
            notes=(*entry.notes, *self.notes),
            repairs=tuple(self.repairs),
            files=tuple(self.files.items()),
            fine=fine,
        ).between()

    def read(self, source: SourceFile, columns: dict[str, str | TimeColumn]) -> dict[str, npt.NDArray[Any]]:
        path, found = self.at.source(source, self.files.get(source.file))
        self.files[source.file] = found or sha256(path)
        return read_columns(path, columns, where=source.where, names=source.names)

    def bars(self, source: BarsFile, repair: Sequence[str] = ()) -> Bars:
        entry = self.at.entry
        names = source.columns.model_dump(exclude={"ts"}, exclude_none=True)
        columns = self.read(source, {"ts": source.columns.ts.spec(), **names})
        wanted = (*source.repair, *repair)
        bars, log = Bars.from_columns(columns, source.interval, file=self.at.path(source.file), repair=wanted)
        self.repairs.extend(log)
        bars = bars.between(
            None if entry.start is None else instant_ns(entry.start),
            None if entry.end is None else instant_ns(entry.end),
        )
        if not len(bars):
            raise DataError(f"no bar between {entry.start} and {entry.end}", file=self.at.path(source.file))
        return bars

    def with_mark(self, bars: Bars, source: MarkFile) -> Bars:
        columns = source.columns
        mark = self.read(source, {"ts": columns.ts.spec(), "high": columns.high, "low": columns.low})
        return join_mark(bars, mark, source.interval, self.at.path(source.file))

    def venue(self, venue: Venue, bars: Bars) -> VenueData:
        return VenueData(
            venue=venue.id,
            symbol=venue.symbol,
            contract=venue.contract,
            profile=self.at.profile(venue),
            open_interest=None if venue.open_interest is None else self.open_interest(venue.open_interest, bars),
            funding=None if venue.funding is None else self.funding(venue.funding),
            liquidations=None if venue.liquidations is None else self.liquidations(venue.liquidations, bars),
        )

    def open_interest(self, source: OpenInterestFile, bars: Bars) -> OpenInterest:
        path = self.at.path(source.file)
        columns = self.read(source, {"ts": source.columns.ts.spec(), "value": source.columns.value})
        start, value = columns["ts"], columns["value"]
        if source.unit == "usd_mean":
            inside = (start >= bars.ts[0]) & (start + source.period <= bars.close_ts[-1])
            value, priced = base_units(start[inside], value[inside], source.period, bars)
            start, value = start[inside][priced], value[priced]
            if not priced.all():
                self.repairs.append(f"open interest: {(~priced).sum()} rows left out, no bar prices their period")
        stamp = start + source.period
        oi = OpenInterest.from_columns(stamp, value, stamp + source.lag, file=path)
        oi = oi.between(int(bars.ts[0]), int(bars.close_ts[-1]))
        if not len(oi):
            raise DataError("no open interest within the span of the bars", file=path)
        if len(oi) > 1 and np.median(np.diff(oi.stamp)) < bars.interval:
            oi = oi.at_closes(bars)
            self.notes.append("open interest is finer than the bars: only the stamps at their closes are used")
        leakage_check(bars, oi, file=path)
        return oi

    def funding(self, source: FundingFile) -> Funding:
        path = self.at.path(source.file)
        columns = self.read(source, {"ts": source.columns.ts.spec(), "rate": source.columns.value})
        return Funding.from_columns(columns["ts"], columns["rate"], columns["ts"] + source.lag, file=path)

    def liquidations(self, source: LiquidationsFile, bars: Bars) -> LiquidatedVolume:
        path, names = self.at.path(source.file), source.columns
        columns = self.read(source, {"ts": names.ts.spec(), "long": names.long, "short": names.short})
        start, sides = columns["ts"], [columns["long"], columns["short"]]
        if source.unit == "usd":
            converted = [base_units(start, side, source.period, bars) for side in sides]
            priced = converted[0][1]
            start, sides = start[priced], [side[priced] for side, _ in converted]
        stamp, (long, short) = start + source.period, sides
        return LiquidatedVolume.from_columns(stamp, long, short, stamp + source.lag, file=path)


def join_mark(bars: Bars, mark: Mapping[str, npt.NDArray[Any]], interval: int, file: Path) -> Bars:
    """Return the bars with their mark price, of columns ``ts``, ``high`` and ``low``.

    Raises
    ------
    DataError
        Where the mark price is of another interval, or a bar has none.
    """
    if interval != bars.interval:
        widths = f"{interval / 1e9:g} s against {bars.interval / 1e9:g} s"
        raise DataError(f"mark price of another interval ({widths}) would look ahead; leave it out", file=file)
    row = np.searchsorted(mark["ts"], bars.ts)
    missing = row == len(mark["ts"])
    missing[~missing] = mark["ts"][row[~missing]] != bars.ts[~missing]
    if missing.any():
        first = time_text(int(bars.ts[missing.argmax()]))
        raise DataError(f"no mark price for {missing.sum()} bars, the first at {first}; leave it out", file=file)
    joined = bars.columns() | {"mark_high": mark["high"][row], "mark_low": mark["low"][row]}
    return Bars.from_columns(joined, bars.interval, file=file)[0]


def warnings(venues: Sequence[VenueData]) -> list[str]:
    """Return what every report must say of a dataset's venues."""
    notes = ["one price series serves all venues"] if len(venues) > 1 else []
    unseen = [venue.venue for venue in venues if venue.estimated_oi]
    if unseen:
        notes.append(f"open interest of {', '.join(unseen)} is estimated from volume")
    return notes


# --- Checking ---


def check_dataset(ref: str | Path) -> list[tuple[str, str]]:
    """Load a dataset and report what was found, as (subject, finding) rows for a table.

    Raises
    ------
    CatalogError, DataError
        As :func:`load_dataset`.
    """
    data = load_dataset(ref)
    bars = data.bars
    gaps = np.diff(bars.ts) > bars.interval
    span = f"{time_text(bars.ts[0])} to {time_text(bars.close_ts[-1])}"
    rows = [
        ("bars", f"{len(bars)} of {bars.interval / 60e9:g} min, {span}, {gaps.sum()} gaps"),
        ("mark price", "given" if bars.mark_low is not None else "none: liquidations trigger on traded prices"),
    ]
    for venue in data.venues:
        rows.append((venue.venue, f"{venue.symbol}, {venue.contract}, holders {venue.profile}"))
        if (oi := venue.open_interest) is None:
            rows.append((f"{venue.venue} open interest", "none: estimated from volume"))
        else:
            lag = np.max(oi.available_at - oi.stamp) / 60e9
            rows.append((f"{venue.venue} open interest", f"{len(oi)} stamps, known {lag:g} min after each"))
            rows.append((f"{venue.venue} timing", str(leakage_check(bars, oi))))
        paid = "none" if venue.funding is None else f"{len(venue.funding)} payments"
        rows.append((f"{venue.venue} funding", paid))
        if (forced := venue.liquidations) is not None:
            rows.append((f"{venue.venue} liquidations", f"{len(forced)} periods"))
    rows += [("repair", line) for line in data.repairs] + [("note", line) for line in data.notes]
    rows += [("file", f"{name} sha256 {digest}") for name, digest in data.files]
    return [*rows, ("data hash", data.data_hash)]
