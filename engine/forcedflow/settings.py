"""Settings of a run: pydantic models, read from TOML, JSON and the command line, every error told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, TypeGuard, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from forcedflow.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AccountSettings", "MarketSettings", "Settings", "explain", "parse", "settings_of"]


class Settings(BaseModel):
    """Frozen, strict about names: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MarketSettings(Settings):
    """How the map is kept and what counts as a zone. All thresholds are dimensionless."""

    # The map
    bin_bps: float = Field(default=10.0, ge=0.1, le=200, description="width of a price bin, basis points of log price")
    profile: str | None = Field(
        default=None, description="holder profile in place of the dataset's own, by name or TOML path"
    )
    hazard_per_hour: float = Field(
        default=0.00276,
        ge=0,
        le=10,
        description="rate at which holders close by themselves; the default is a half-life of 10.5 days",
    )
    entry_points: int = Field(
        default=8, ge=1, le=64, description="most points over which the entries of one bar are spread"
    )
    # Open interest where the dataset has none
    oi_turnover: float = Field(
        default=0.5,
        gt=0,
        description="estimated open interest, in days of average volume; used only without open interest",
    )
    oi_halflife_days: float = Field(default=7.0, gt=0, description="half-life of that average, days of trading time")
    # Structure
    atr_bars: int = Field(default=48, ge=1, le=10_000_000, description="memory of the average true range, bars")
    volume_bars: int = Field(default=288, ge=1, le=10_000_000, description="memory of the average volume per bar, bars")
    vol_short_bars: int = Field(default=12, ge=1, le=10_000_000, description="memory of the short volatility, bars")
    vol_long_bars: int = Field(default=96, ge=1, le=10_000_000, description="memory of the long volatility, bars")
    momentum_bars: int = Field(default=12, ge=1, le=10_000, description="bars over which momentum is taken")
    pivots: Literal["bars", "reversal"] = Field(
        default="bars",
        description="bars: a pivot is the extreme of pivot_bars on each side; reversal: of a move that turned back by "
        "reversal_atr",
    )
    pivot_bars: int = Field(default=5, ge=1, le=1000, description="bars on each side of a pivot")
    reversal_atr: float = Field(default=3.0, gt=0, description="reversal that confirms a pivot, ATR")
    channel: Literal["regression", "pivot", "donchian"] = Field(
        default="regression",
        description="regression: least squares of log closes and an envelope; pivot: a line through confirmed pivots "
        "and a parallel through the opposite extreme; donchian: extremes of the last channel_bars",
    )
    channel_bars: int = Field(default=96, ge=8, le=100_000, description="bars that a channel is fitted on")
    channel_sigmas: float = Field(
        default=2.0, gt=0, le=10, description="regression: half width, standard deviations of the residuals"
    )
    channel_touches: int = Field(default=2, ge=0, le=100, description="least separate touches of each boundary")
    touch_atr: float = Field(default=0.25, ge=0, description="a bar touches a boundary within so many ATR")
    channel_containment: float = Field(
        default=0.9, ge=0, le=1, description="least share of closes between the boundaries"
    )
    channel_min_atr: float = Field(default=2.0, ge=0, description="least width of a channel, ATR")
    channel_max_atr: float = Field(default=20.0, gt=0, description="largest width of a channel, ATR")
    channel_age: int = Field(default=192, ge=1, description="bars after which a channel that held is given up")
    break_atr: float = Field(default=0.25, ge=0, description="a close so many ATR beyond a boundary breaks it")
    break_closes: int = Field(default=1, ge=1, le=100, description="such closes in a row that a break takes")
    fakeout_bars: int = Field(default=12, ge=1, description="bars after a break in which a close inside is a FakeOut")
    align_atr: float = Field(
        default=1.0, ge=0, description="a zone that begins within so many ATR of a broken boundary is aligned with it"
    )
    void_atr: float = Field(default=3.0, gt=0, description="how far ahead a void must reach, ATR")
    void_mass: float = Field(default=0.003, ge=0, description="most mass within void_atr for a void, share of OI")
    exhaust_bars: int = Field(
        default=48,
        ge=1,
        le=10_000,
        description="window of an exhaustion: bars before VoidEntry, and time given after it",
    )
    exhaust_swept: float = Field(default=0.005, ge=0, description="least swept within the window, share of OI")
    exhaust_flow: float = Field(
        default=0.005, ge=0, description="forced flow below so many bars of average volume has dried up"
    )
    exhaust_dry_bars: int = Field(default=3, ge=1, le=10_000, description="bars for which it must have dried up")
    exhaust_momentum: float = Field(
        default=0.5, gt=0, le=1, description="momentum has decayed below this share of its peak in the window"
    )
    exhaust_vol: float = Field(default=1.0, gt=0, description="short over long volatility, at most")
    # Zones
    zone_on: float = Field(
        default=0.015, gt=0, description="a zone's peak density: mass per 1% of price as a share of OI"
    )
    zone_off: float = Field(default=0.0075, gt=0, description="density at which a zone ends")
    zone_valley: float = Field(
        default=0.6, ge=0, lt=1, description="a zone also ends where density falls to this share of its peak"
    )
    zone_bridge: int = Field(default=1, ge=0, le=1000, description="bins below zone_off that a zone may span")
    zone_min_mass: float = Field(default=0.003, ge=0, description="least mass of a zone, share of OI")
    min_coverage: float = Field(default=0.2, ge=0, lt=1, description="no zones while less of OI than this is located")
    reach: float = Field(default=0.15, gt=0, le=2, description="how far from price zones are looked for, log price")
    near_atr: float = Field(default=3.0, gt=0, description="a zone within so many ATR is near")
    swept_share: float = Field(
        default=0.9, gt=0, le=1, description="a zone is swept once so much of its mass at entry is gone"
    )
    flow_min: float = Field(
        default=0.02, gt=0, description="least forced flow of a bar for an event, bars of average volume"
    )

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.zone_off > self.zone_on:
            raise ValueError(f"zone_off must not exceed zone_on, was {self.zone_off} > {self.zone_on}")
        if self.channel_min_atr > self.channel_max_atr:
            raise ValueError(
                f"channel_min_atr must not exceed channel_max_atr, was {self.channel_min_atr} > {self.channel_max_atr}"
            )
        return self


class AccountSettings(Settings):
    """What trading costs and what the account may do."""

    cash: float = Field(
        default=100_000.0, gt=0, description="initial equity, in the currency of the margin: quote, inverse: base"
    )
    maker_fee: float = Field(
        default=0.0002, ge=-0.01, lt=0.1, description="of a limit fill, share of notional; a run takes the venue's"
    )
    taker_fee: float = Field(
        default=0.0005, ge=-0.01, lt=0.1, description="of a market or stop fill; a run takes the venue's"
    )
    liquidation_fee: float = Field(
        default=0.0, ge=0, lt=0.1, description="of an own liquidation, beside the taker fee; a run takes the venue's"
    )
    half_spread_bps: float = Field(
        default=0.5, ge=0, lt=1000, description="paid by market and stop fills, basis points"
    )
    impact: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="Y of the square-root law: a fill of size Q moves price by Y * volatility * sqrt(Q / volume); "
        "about 1 (Toth et al. 2011; on bitcoin Donier and Bonart 2015). Only where volume is known",
    )
    participation: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the mass swept at or beyond a limit's price that it may meet without impact",
    )
    max_leverage: float = Field(default=5.0, gt=0, description="notional of all positions over equity, at most")
    margin: Literal["none", "isolated", "cross"] = Field(
        default="cross",
        description="own liquidation by the venue's rule: none; each position on its own margin; all on the equity",
    )
    leverage: float = Field(
        default=10.0, gt=0, le=1000, description="isolated: notional of a position over the margin posted for it"
    )
    intrabar: Literal["worst", "path", "target_first", "drill"] = Field(
        default="worst",
        description="what comes first inside a bar: the worse; as on the path open, low, high, close (high first where "
        "the bar fell; the worse in a bar that a stop entry and its bracket fit into); the target; as the dataset's "
        "finer bars say",
    )


_M = TypeVar("_M", bound=BaseModel)


def explain(error: ValidationError, what: str, model: type[BaseModel]) -> str:
    """Turn pydantic's findings into one message that names every bad setting, and what there is for an unknown one."""
    findings, known = [], {}
    for found in error.errors(include_url=False):
        where = [str(part) for part in found["loc"]]
        told = f"{'.'.join(where) or what}: "
        if found["type"] == "extra_forbidden":
            names = _names(model, where[:-1])
            known[".".join(where[:-1])] = names
            findings.append(f"{told}unknown{did_you_mean(where[-1], names)}")
        elif found["type"] == "missing":
            findings.append(told + found["msg"])
        else:
            findings.append(f"{told}{found['msg']}" + f", was {found['input']!r}"[:120])
    there = [f"Known{f' in {where}' if where else ''}: {', '.join(names)}" for where, names in known.items()]
    return ". ".join([f"{what}: {'; '.join(findings)}", *there])


def _names(model: type[BaseModel], where: list[str]) -> list[str]:
    """Return the settings of a model, or of the one that lies inside it."""
    for part in where:
        if part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inner = [kind for kind in (annotation, *_inside(annotation)) if _is_model(kind)]
            model = inner[0] if inner else model
    return list(model.model_fields)


def _inside(annotation: object) -> list[Any]:
    return [part for outer in get_args(annotation) for part in (outer, *_inside(outer))]


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def parse(model: type[_M], values: dict[str, Any], what: str) -> _M:
    """Validate ``values`` as ``model``.

    Raises
    ------
    SettingsError
        Naming every unknown key and every value out of bounds, and the known keys where one is unknown.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(explain(error, what, model)) from None


def settings_of(model: type[_M], given: Mapping[str, Any] | _M | None, what: str) -> _M:
    """Return settings that are given as such, as a mapping of what differs from the defaults, or not at all.

    Raises
    ------
    SettingsError
        As :func:`parse`.
    """
    return given if isinstance(given, model) else parse(model, dict(given or {}), what)
