"""Who holds the open interest: leverage, or distance to liquidation, and stops, as data with sources.

A profile and a margin rule give thresholds: where, relative to their entry, new positions are liquidated. Cross margin
has no place on a price axis of its own (it depends on the account's other positions), so it appears here only, within
a distribution of distances that was measured over such accounts.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import AwareDatetime, Field, model_validator

from forcedflow.errors import VenueError
from forcedflow.settings import Settings
from forcedflow.tables import FloatArray, Side
from forcedflow.venues.rules import Rule
from forcedflow.venues.schedules import load_venue, locate, names, read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AtrStop",
    "Distance",
    "Distances",
    "MarginChange",
    "Profile",
    "RoundStop",
    "SwingStop",
    "Thresholds",
    "Tier",
    "Window",
    "dump_profile",
    "load_profile",
    "profile_names",
    "schedule_changes",
    "thresholds",
]

_FOLDER = Path(__file__).parent / "profiles"
_SUM_TOLERANCE = 1e-9
_UNIFORM = 1e-12  # log shifts that differ by less are one shift


class Tier(Settings):
    """Holders of one leverage."""

    leverage: float = Field(gt=0)
    weight: float = Field(gt=0, le=1, description="share of open interest")
    notional: float = Field(gt=0, description="representative position, quote currency; selects the bracket")


class Distance(Settings):
    """Holders at one distance."""

    distance: float = Field(gt=0, description="of the liquidation price from entry, fraction of the entry price")
    weight: float = Field(gt=0, le=1, description="share of the side's open interest")


class Distances(Settings):
    """A measured distribution of distances."""

    notional: float = Field(
        gt=0, description="representative position, quote currency; selects the bracket when a margin schedule changes"
    )
    long: tuple[Distance, ...] = Field(min_length=1)
    short: tuple[Distance, ...] = Field(min_length=1)


class AtrStop(Settings):
    """Stops at a multiple of the average true range from entry."""

    kind: Literal["atr"]
    share: float = Field(gt=0, le=1, description="of the side's holders")
    multiple: float = Field(gt=0)


class RoundStop(Settings):
    """Stops just beyond the nearest round price against the position."""

    kind: Literal["round"]
    share: float = Field(gt=0, le=1, description="of the side's holders")
    step: float = Field(gt=0, description="distance between round prices, quote currency")
    beyond_bps: float = Field(ge=0, lt=1000, description="how far beyond, basis points of price")


class SwingStop(Settings):
    """Stops just beyond the last confirmed swing."""

    kind: Literal["swing"]
    share: float = Field(gt=0, le=1, description="of the side's holders")
    beyond_bps: float = Field(ge=0, lt=1000, description="how far beyond, basis points of price")


class Window(Settings):
    """What a profile was fitted on; a run that overlaps it is in-sample."""

    start: AwareDatetime
    end: AwareDatetime


class Profile(Settings):
    """Assumptions about holders: either leverage ``tiers`` or ``distances``, and ``stops``."""

    name: str = Field(min_length=1)
    title: str
    source: str = Field(min_length=1)
    fitted_window: Window | None = None
    tiers: tuple[Tier, ...] = ()
    distances: Distances | None = None
    stops: tuple[Annotated[AtrStop | RoundStop | SwingStop, Field(discriminator="kind")], ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.tiers) == (self.distances is not None):
            raise ValueError(f"profile {self.name}: give either tiers or distances")
        groups: dict[str, tuple[Tier | Distance, ...]] = {"tiers": self.tiers}
        if self.distances is not None:
            groups = {"distances.long": self.distances.long, "distances.short": self.distances.short}
            if any(d.distance >= 1 for d in self.distances.long):
                raise ValueError(f"profile {self.name}: distances.long must be below 1, where the price is 0")
        for group, rows in groups.items():
            total = math.fsum(row.weight for row in rows)
            if abs(total - 1) > _SUM_TOLERANCE:
                raise ValueError(f"profile {self.name}: weights of {group} must sum to 1, not {total:.10g}")
        kept = math.fsum(stop.share for stop in self.stops)
        if kept > 1 + _SUM_TOLERANCE:
            raise ValueError(f"profile {self.name}: shares of stops must sum to at most 1, not {kept:.10g}")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """Where new positions are liquidated, nearest to entry first. Arrays are float64, shape (n,), read-only."""

    profile: str
    venue: str
    symbol: str
    effective_ns: int
    """Nanoseconds UTC from which the margin schedule behind them holds."""
    assumed: bool
    """The schedule is flagged ``assumed``."""
    capped: float
    """Share of weight whose leverage exceeds what the bracket allows, and was taken at the highest allowed."""
    long_offsets: FloatArray
    """ln(liquidation price / entry price), negative."""
    long_weights: FloatArray
    """Share of newly opened longs; sums to 1."""
    short_offsets: FloatArray
    """The same for shorts, positive."""
    short_weights: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class MarginChange:
    """A margin schedule that takes effect: thresholds of new positions, and how those of open ones move."""

    at: int
    """Nanoseconds UTC."""
    thresholds: Thresholds
    shift_long: float | None
    """Added to ln(threshold) of every open long: a rise of margin moves it up, towards price. None: the positions
    do not all move alike (or maintenance is taken on entry); the change applies to new mass only, to be flagged."""
    shift_short: float | None
    """The same for shorts: a rise of margin moves thresholds down (negative)."""


class _Holding(NamedTuple):
    """A representative position as it was opened, and the price that liquidates it."""

    qty: float
    margin: float
    price: float
    weight: float
    capped: bool


def _tier_holding(tier: Tier, rule: Rule, side: Side, entry: float, where: str) -> _Holding:
    """Open a tier's position with its leverage, or the highest allowed where that is lower."""
    qty = rule.quantity(tier.notional, entry)
    leverage = min(tier.leverage, rule.max_leverage(entry, qty))
    try:
        price = rule.liquidation_price(side, entry, qty, leverage).price
    except VenueError as error:
        raise VenueError(f"{where}: {error}") from None
    if price is None:
        raise VenueError(f"{where}: no price liquidates a {side.name.lower()} of {leverage:g}x on {rule.venue.id}")
    return _Holding(qty, rule.value(entry, qty) / leverage, price, tier.weight, leverage < tier.leverage)


def _holdings(profile: Profile, rule: Rule, side: Side, entry: float) -> list[_Holding]:
    """Open one position for each row of the profile."""
    if profile.distances is None:
        return [
            _tier_holding(tier, rule, side, entry, f"profile {profile.name}, tier {number} ({tier.leverage:g}x)")
            for number, tier in enumerate(profile.tiers, 1)
        ]
    qty = rule.quantity(profile.distances.notional, entry)
    rows = profile.distances.long if side is Side.LONG else profile.distances.short
    prices = [entry * (1 - side * row.distance) for row in rows]
    return [
        _Holding(qty, rule.margin_at(side, entry, qty, price), price, row.weight, capped=False)
        for price, row in zip(prices, rows, strict=True)
    ]


def _side(holdings: list[_Holding], entry: float) -> tuple[FloatArray, FloatArray]:
    """Return offsets and weights, nearest first."""
    offsets = np.log([h.price / entry for h in holdings])
    order = np.argsort(np.abs(offsets), kind="stable")
    columns = offsets[order], np.array([h.weight for h in holdings])[order]
    for column in columns:
        column.setflags(write=False)
    return columns


def _thresholds(profile: Profile, rule: Rule, entry: float) -> Thresholds:
    longs, shorts = (_holdings(profile, rule, side, entry) for side in (Side.LONG, Side.SHORT))
    return Thresholds(
        profile.name,
        rule.venue.id,
        rule.symbol,
        rule.schedule.effective_ns,
        rule.schedule.assumed,
        math.fsum(h.weight for h in longs if h.capped),
        *_side(longs, entry),
        *_side(shorts, entry),
    )


def thresholds(
    profile: Profile, venue: str, symbol: str, at: int | None = None, *, reference_entry: float = 100_000.0
) -> Thresholds:
    """Return where positions opened at ``at`` (nanoseconds UTC; None: under the newest schedule) are liquidated.

    Parameters
    ----------
    profile, venue, symbol
        Of tiers: each through :func:`~forcedflow.venues.rules.liquidation_price` with its own notional; leverage above
        what the venue allows is taken at the highest allowed (``capped`` says how much weight that is). Of
        distances: as measured, whatever the venue.
    reference_entry
        Entry price, quote currency. The offsets of a linear contract do not depend on it, since a fixed notional
        fixes the bracket; where caps count coin (inverse) or contracts (OKX), it decides the row only.

    Raises
    ------
    VenueError
        Naming the tier, where no price liquidates its position, or the venue would not let it open.
    """
    return _thresholds(profile, Rule.of(venue, symbol, at), reference_entry)


def _shift(profile: Profile, before: Rule, after: Rule, side: Side, entry: float) -> float | None:
    """Log shift of the thresholds of positions that were opened under ``before`` and keep their margin."""
    if "entry" in (before.maintenance_on, after.maintenance_on):
        return None
    shifts = []
    for held in _holdings(profile, before, side, entry):
        price, _ = after.liquidation(side, entry, held.qty, held.margin)
        if price is None:
            return None
        shifts.append(math.log(price / held.price))
    return shifts[0] if max(shifts) - min(shifts) <= _UNIFORM else None


def schedule_changes(
    profile: Profile, venue: str, symbol: str, start_ns: int, end_ns: int, *, reference_entry: float = 100_000.0
) -> list[MarginChange]:
    """Return the changes of margin schedule effective within ``(start_ns, end_ns]``, in order.

    Notes
    -----
    An open position keeps its posted margin, so its threshold is solved again under the new schedule. Where
    maintenance is a rate of the mark, ``m0`` before and ``m1`` after, every threshold of a side moves alike:
    linear longs by ln((1-m0)/(1-m1)), shorts by -ln((1+m1)/(1+m0)); inverse longs by ln((1+m1)/(1+m0)), shorts by
    -ln((1-m0)/(1-m1)). This is not assumed but found: the shift is returned only
    if the profile's own positions, brackets and amounts included, agree to 1e-12.

    Raises
    ------
    VenueError
        As :func:`thresholds`.
    """
    changes = []
    for old, new in pairwise(load_venue(venue).symbol(symbol).schedules):
        if not start_ns < new.effective_ns <= end_ns:
            continue
        before, after = (Rule.of(venue, symbol, schedule.effective_ns) for schedule in (old, new))
        changes.append(
            MarginChange(
                new.effective_ns,
                _thresholds(profile, after, reference_entry),
                _shift(profile, before, after, Side.LONG, reference_entry),
                _shift(profile, before, after, Side.SHORT, reference_entry),
            )
        )
    return changes


def profile_names() -> tuple[str, ...]:
    """Return the profiles that ship with the package."""
    return names(_FOLDER)


def dump_profile(profile: Profile) -> str:
    """Return a profile as the text of its TOML file; :func:`load_profile` reads the same profile back."""
    lines = [f"{key} = {json.dumps(getattr(profile, key), ensure_ascii=False)}" for key in ("name", "title", "source")]
    if profile.fitted_window is not None:
        lines.append(f"fitted_window = {_inline(profile.fitted_window)}")
    lines += [*_rows("tiers", profile.tiers), *_rows("stops", profile.stops)]
    if profile.distances is not None:
        lines += ["", "[distances]", f"notional = {profile.distances.notional!r}"]
        lines += [*_rows("long", profile.distances.long), *_rows("short", profile.distances.short)]
    return "\n".join(lines) + "\n"


def _rows(key: str, rows: Sequence[Settings]) -> list[str]:
    return [f"{key} = [", *(f"    {_inline(row)}," for row in rows), "]"] if rows else []


def _inline(row: Settings) -> str:
    """Return an inline table: numbers in full, times as TOML has them, text quoted."""
    values = {key: getattr(row, key) for key in type(row).model_fields}
    written = {
        key: value.isoformat() if isinstance(value, datetime) else json.dumps(value) for key, value in values.items()
    }
    return f"{{ {', '.join(f'{key} = {value}' for key, value in written.items())} }}"


def load_profile(name_or_path: str | Profile) -> Profile:
    """Return a profile by name or TOML path (a file is read once per process), or the profile itself.

    Raises
    ------
    VenueError
        If there is no such profile, or the file contradicts its form or itself.
    """
    return name_or_path if isinstance(name_or_path, Profile) else _read_profile(name_or_path)


@functools.cache
def _read_profile(name_or_path: str) -> Profile:
    return read_toml(Profile, locate(_FOLDER, name_or_path, "profile"))
