"""The form in which a dataset is described: the tables and keys of its TOML (``datasets/README.md`` explains them)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from forcedflow.data.series import Calendar, Contract  # noqa: TC001  (pydantic reads them at run time)
from forcedflow.data.sources.table import TimeColumn, TimeUnit
from forcedflow.data.times import duration_ns
from forcedflow.settings import Settings

__all__ = [
    "BarsFile",
    "CatalogEntry",
    "FundingFile",
    "LiquidationsFile",
    "MarkFile",
    "OpenInterestFile",
    "SourceFile",
    "Venue",
]

Duration = Annotated[int, BeforeValidator(lambda value: duration_ns(value) if isinstance(value, str) else value)]
"""Nanoseconds, written as 5min, 1h, 1d."""


class Times(Settings):
    """The column of times: numbers of a unit, timestamps, or text."""

    column: str
    unit: TimeUnit | None = None
    tz: str | None = None
    ahead: Duration = 0

    def spec(self) -> TimeColumn:
        """Return the same as the reader takes it."""
        return TimeColumn(self.column, self.unit, self.tz, self.ahead)


class SourceFile(Settings):
    """A file, and which of its rows."""

    file: str
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    where: dict[str, str] = Field(default_factory=dict)
    names: list[str] | None = None


class BarColumns(Settings):
    """Names of the bars' columns in the file."""

    ts: Times
    open: str = "open"
    high: str = "high"
    low: str = "low"
    close: str = "close"
    volume: str = "volume"
    quote_volume: str | None = None
    taker_buy_volume: str | None = None


class BarsFile(SourceFile):
    """The file of bars."""

    columns: BarColumns
    interval: Duration
    volume: Literal["base", "ticks"] = "base"
    """``ticks``: a count of quotes or trades; then fills have no impact that could be reckoned from it."""
    repair: list[str] = Field(default_factory=list)


class MarkColumns(Settings):
    """Names of the mark price's columns."""

    ts: Times
    high: str = "high"
    low: str = "low"


class MarkFile(SourceFile):
    """Mark price bars. A mark coarser than the bars would show a low before it happened, so intervals must be equal."""

    columns: MarkColumns
    interval: Duration


class ValueColumns(Settings):
    """Names of the columns of a series."""

    ts: Times
    value: str


class OpenInterestFile(SourceFile):
    """A series of open interest: what it counts, which period a row describes, and when it is published."""

    columns: ValueColumns
    unit: Literal["base", "usd_mean"] = "base"
    period: Duration = 0
    """A row describes the time from its stamp on, this long; 0: the state at the stamp. The state counts as that at
    the period's end."""
    lag: Duration = 0
    """Published so long after the period's end."""

    @model_validator(mode="after")
    def _mean_of_what(self) -> Self:
        if self.unit == "usd_mean" and self.period == 0:
            raise ValueError("unit usd_mean needs the period over which the value is averaged, such as period = '1h'")
        return self


class FundingFile(SourceFile):
    """A series of funding payments."""

    columns: ValueColumns
    lag: Duration = 0


class LiquidationColumns(Settings):
    """Names of the columns of liquidated volume."""

    ts: Times
    long: str
    short: str


class LiquidationsFile(SourceFile):
    """Liquidated volume by period: calibrates and scores the map, and is never traded on."""

    columns: LiquidationColumns
    unit: Literal["base", "usd"] = "base"
    period: Duration
    """A row describes the time from its stamp on, this long."""
    lag: Duration = 0


class Venue(Settings):
    """One venue of a dataset."""

    id: str
    symbol: str
    contract: Contract = "linear"
    profile: str
    open_interest: OpenInterestFile | None = None
    funding: FundingFile | None = None
    liquidations: LiquidationsFile | None = None


class CatalogEntry(Settings):
    """The description of a dataset."""

    title: str
    source: str
    licence: str
    calendar: Calendar = "24/7"
    start: str | None = None
    end: str | None = None
    notes: list[str] = Field(default_factory=list)
    bars: BarsFile
    finer: BarsFile | None = None
    """Bars of a shorter interval that add up to the bars: an account may drill into them."""
    mark: MarkFile | None = None
    venues: list[Venue] = Field(min_length=1)

    def facts(self) -> dict[str, Any]:
        """Return what a dataset made of this says of itself, as keywords of :class:`~.series.Dataset`."""
        told = {name: getattr(self, name) for name in ("title", "calendar", "source", "licence")}
        return told | {"counts_ticks": self.bars.volume == "ticks"}
