"""The form of the venues' files: maintenance tables with the time from which they hold, fees and sources."""

from __future__ import annotations

import functools
import math
import tomllib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self, TypeVar

import numpy as np
from pydantic import AwareDatetime, BaseModel, Field, ValidationInfo, field_validator, model_validator

from forcedflow.errors import SettingsError, VenueError
from forcedflow.settings import Settings, parse

__all__ = ["Bracket", "Schedule", "Venue", "instant", "load_venue", "locate", "names", "read_toml", "venue_names"]

_FOLDER = Path(__file__).parent
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_M = TypeVar("_M", bound=BaseModel)


class Bracket(Settings):
    """One row of a maintenance table: a position above the row before and up to ``cap`` pays ``rate``."""

    cap: float | None = Field(
        default=None, gt=0, description="largest position of the row; none: no end (last row only)"
    )
    rate: float = Field(gt=0, lt=0.9, description="maintenance margin, share of position value")
    max_leverage: float | None = Field(default=None, gt=0, description="highest leverage a position may be opened with")
    amount: float = Field(
        default=0.0,
        ge=0,
        description="deducted from rate * value; where the file leaves it out, it follows from the rates",
    )


class Schedule(Settings):
    """A maintenance table and the time from which it holds."""

    effective_from: AwareDatetime
    source: str = Field(min_length=1)
    assumed: bool = Field(default=False, description="stands in for numbers or a date that are not at hand")
    maintenance_on: Literal["entry", "mark"] | None = Field(default=None, description="in place of the venue's own")
    caps_in: Literal["value", "contracts"] = Field(
        default="value",
        description="value: in the currency of the margin, each rate paid on the part of the position within its row; "
        "contracts: one rate, chosen by the number of contracts, paid on the whole position",
    )
    brackets: tuple[Bracket, ...] = Field(min_length=1)

    @field_validator("brackets")
    @classmethod
    def _consistent(cls, brackets: tuple[Bracket, ...], info: ValidationInfo) -> tuple[Bracket, ...]:
        return _with_amounts(brackets, progressive=info.data.get("caps_in") == "value")

    @property
    def effective_ns(self) -> int:
        """Nanoseconds UTC from which the table holds."""
        return instant(self.effective_from)


def _with_amounts(brackets: tuple[Bracket, ...], *, progressive: bool) -> tuple[Bracket, ...]:
    """Check a table and fill in the amounts: ``amount_n = floor_n * (rate_n - rate_{n-1}) + amount_{n-1}``."""
    floor, rate, amount = 0.0, 0.0, 0.0
    checked = []
    for number, bracket in enumerate(brackets, 1):
        where = f"bracket {number} (cap {bracket.cap if bracket.cap is None else format(bracket.cap, ',.10g')})"
        if not floor < math.inf:
            raise ValueError(f"{where} follows one without a cap")
        if bracket.cap is not None and bracket.cap <= floor:
            raise ValueError(f"{where} must exceed the cap before, {floor:,.10g}")
        if bracket.rate <= rate:
            raise ValueError(f"{where} has rate {bracket.rate:g}, which must exceed the rate before, {rate:g}")
        if progressive:
            amount += floor * (bracket.rate - rate)
        stated = bracket.amount if "amount" in bracket.model_fields_set else amount
        if not math.isclose(stated, amount, rel_tol=1e-9, abs_tol=1e-9):
            raise ValueError(f"{where} has amount {stated:,.12g}, but its rates give {amount:,.12g}")
        checked.append(bracket.model_copy(update={"amount": amount}))
        floor, rate = (math.inf if bracket.cap is None else bracket.cap), bracket.rate
    return tuple(checked)


class Symbol(Settings):
    """A contract and its maintenance tables, oldest first."""

    face: float = Field(
        default=1.0,
        gt=0,
        description="size of one contract: quote currency if inverse, base units if linear (for caps only)",
    )
    schedules: tuple[Schedule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(later.effective_from <= earlier.effective_from for earlier, later in pairwise(self.schedules)):
            raise ValueError("schedules must be ordered by effective_from, each later than the one before")
        return self


class Fees(Settings):
    """Shares of notional."""

    maker: float = Field(ge=-0.01, lt=0.1)
    taker: float = Field(ge=-0.01, lt=0.1)
    liquidation: float = Field(ge=0, lt=0.1, description="charged on what is liquidated")
    source: str = Field(min_length=1)
    assumed: bool = False


class Venue(Settings):
    """Everything known about one venue's margin rules."""

    id: str = Field(min_length=1)
    title: str
    contract: Literal["linear", "inverse"]
    trigger: Literal["mark", "last"] = Field(description="the price that liquidates")
    maintenance_on: Literal["entry", "mark"] = Field(description="the value on which maintenance is taken")
    fee_in_maintenance: float = Field(
        default=0.0, ge=0, lt=0.1, description="fee that the venue adds to the maintenance rate"
    )
    source: str = Field(min_length=1)
    fees: Fees
    symbols: dict[str, Symbol] = Field(min_length=1, description="by name; `default` serves symbols without their own")

    @model_validator(mode="after")
    def _default_is_assumed(self) -> Self:
        default = self.symbols.get("default")
        if default is not None and not all(s.assumed for s in default.schedules):
            raise ValueError("symbols.default: every schedule must say assumed = true")
        return self

    def symbol(self, name: str) -> Symbol:
        """Return the symbol's contract, or the venue's assumed default.

        Raises
        ------
        VenueError
            If the venue knows neither.
        """
        found = self.symbols.get(name) or self.symbols.get("default")
        if found is None:
            raise VenueError(f"{self.id}: no margin rule for {name!r}; known: {', '.join(self.symbols)}")
        return found

    def schedule(self, symbol: str, at: datetime | int | str | None = None) -> Schedule:
        """Return the schedule effective at ``at`` (see :func:`instant`); None is the newest.

        Raises
        ------
        VenueError
            If there is no rule for the symbol, or none so early.
        """
        schedules = self.symbol(symbol).schedules
        if at is None:
            return schedules[-1]
        when = instant(at)
        past = [s for s in schedules if s.effective_ns <= when]
        if not past:
            first = schedules[0].effective_from.isoformat()
            raise VenueError(f"{self.id} {symbol}: no schedule at {at}; the first is effective from {first}")
        return past[-1]


def instant(at: datetime | int | str) -> int:
    """Return nanoseconds UTC of a time.

    Parameters
    ----------
    at
        A ``datetime`` with a time zone, nanoseconds UTC, an ISO date (midnight UTC) or an ISO time with an offset.

    Raises
    ------
    VenueError
        For text that is no ISO date or time, and for a time without a zone.
    """
    if isinstance(at, int | np.integer):
        return int(at)
    if isinstance(at, str):
        try:
            parsed = datetime.fromisoformat(at)
        except ValueError:
            raise VenueError(f"{at!r} is no ISO date or time, such as 2024-10-24 or 2024-10-24T12:00:00Z") from None
        at = parsed.replace(tzinfo=UTC) if len(at) <= len("2024-10-24") else parsed
    if at.tzinfo is None:
        raise VenueError(f"{at.isoformat()} has no time zone; add an offset, such as Z for UTC")
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def read_toml(model: type[_M], path: Path) -> _M:
    """Read and validate a TOML file; every finding is one VenueError that names the file."""
    try:
        return parse(model, tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise VenueError(f"{path}: not valid TOML: {error}") from None
    except SettingsError as error:
        raise VenueError(str(error)) from None


def locate(folder: Path, name: str, what: str) -> Path:
    """Return the file of a shipped name, or the path itself where ``name`` ends in ``.toml``."""
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        shipped = ", ".join(names(folder))
        raise VenueError(f"no {what} {name!r}; shipped: {shipped}; or give the path of a .toml file")
    return path


def names(folder: Path) -> tuple[str, ...]:
    """Return the names of the TOML files in a folder."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def venue_names() -> tuple[str, ...]:
    """Return the venues that ship with the package."""
    return names(_FOLDER)


@functools.cache
def load_venue(name: str) -> Venue:
    """Return a venue by name or TOML path; a file is read once per process.

    Raises
    ------
    VenueError
        If there is no such venue, or the file contradicts its form or itself.
    """
    return read_toml(Venue, locate(_FOLDER, name, "venue"))
