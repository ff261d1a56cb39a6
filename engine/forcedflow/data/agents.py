"""Who trades in a simulated market, and all else that decides one: its settings, and named ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from forcedflow.errors import SettingsError
from forcedflow.settings import Settings, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AGENTS", "CROWD", "PRESETS", "AgentKind", "SimulatedVenue", "SimulationSettings", "preset"]


class AgentKind(Settings):
    """Holders who trade alike; all of one kind use the same leverage."""

    leverage: float = Field(gt=1, le=125)
    weight: float = Field(gt=0, description="share of what is opened")
    notional: float = Field(gt=0, description="usual position, quote currency: sets the bracket")
    holding_hours: float = Field(gt=0, description="mean time until they leave by themselves")
    stop_share: float = Field(default=0.0, ge=0, le=1, description="share that keeps a stop")
    stop_atr: float = Field(default=1.0, gt=0, description="distance of that stop, average true ranges")
    follow: float = Field(
        default=0.0,
        ge=-3,
        le=3,
        description="trend followers: on the side of a trend of one standard deviation their weight is exp(follow) "
        "times the usual; market makers, who take the other side, are below 0",
    )


AGENTS: Final = (
    AgentKind(leverage=2, weight=0.14, notional=400_000, holding_hours=300),
    AgentKind(leverage=3, weight=0.18, notional=200_000, holding_hours=240),
    AgentKind(leverage=5, weight=0.27, notional=100_000, holding_hours=200),
    AgentKind(leverage=10, weight=0.24, notional=50_000, holding_hours=120, stop_share=0.2, stop_atr=16),
    AgentKind(leverage=20, weight=0.10, notional=20_000, holding_hours=72, stop_share=0.2, stop_atr=16),
    AgentKind(leverage=25, weight=0.04, notional=15_000, holding_hours=48, stop_share=0.2, stop_atr=16),
    AgentKind(leverage=50, weight=0.02, notional=8_000, holding_hours=24, stop_share=0.5, stop_atr=4),
    AgentKind(leverage=100, weight=0.01, notional=3_000, holding_hours=12, stop_share=0.5, stop_atr=4),
)
CROWD: Final = (
    AgentKind(leverage=2, weight=0.20, notional=400_000, holding_hours=24, follow=-1.0),  # market makers
    AgentKind(leverage=3, weight=0.15, notional=200_000, holding_hours=240),
    AgentKind(leverage=5, weight=0.25, notional=100_000, holding_hours=200),
    AgentKind(leverage=10, weight=0.20, notional=50_000, holding_hours=120, follow=0.5, stop_share=0.2, stop_atr=16),
    AgentKind(leverage=20, weight=0.10, notional=20_000, holding_hours=72, follow=0.7, stop_share=0.3, stop_atr=12),
    AgentKind(leverage=25, weight=0.06, notional=15_000, holding_hours=48, follow=1.0, stop_share=0.3, stop_atr=12),
    AgentKind(leverage=50, weight=0.03, notional=8_000, holding_hours=24, follow=1.0, stop_share=0.5, stop_atr=4),
    AgentKind(leverage=100, weight=0.01, notional=3_000, holding_hours=12, follow=1.0, stop_share=0.5, stop_atr=4),
)
"""The same with market makers and trend followers."""


class SimulatedVenue(Settings):
    """A further venue on the same price: its rule, its holders, its own open interest."""

    venue: str = Field(description="whose rule liquidates; linear")
    symbol: str
    opened_per_day: float = Field(ge=0, description="new contracts a day, base units")
    volume_per_day: float = Field(gt=0, description="usual trade that leaves no position, base units a day")
    agents: tuple[AgentKind, ...] = Field(min_length=1)


class SimulationSettings(Settings):
    """What the simulated market is like; the defaults make the bundled files."""

    seed: int = Field(default=27, ge=0, description="of the generators that all chance comes from (PCG64)")
    bars: int = Field(default=10_000, ge=1, description="bars that are kept")
    warmup_bars: int = Field(
        default=5_760, ge=0, description="bars before them, in which the first positions are opened"
    )
    venue: str = Field(default="binance-um", description="whose rule liquidates; linear")
    symbol: str = Field(default="BTCUSDT", description="contract whose brackets hold")
    others: tuple[SimulatedVenue, ...] = Field(default=(), description="further venues on the same price")
    interval_minutes: Literal[1, 5, 15, 60] = Field(default=5, description="length of a bar")
    steps_per_bar: int = Field(default=5, ge=1, description="price moves and orders are taken this often")
    start: AwareDatetime = Field(
        default=datetime(2025, 1, 1, tzinfo=UTC), description="start of the first bar that is kept"
    )
    price: float = Field(default=60_000.0, gt=0, description="price before the first bar")
    tick: float = Field(default=0.1, gt=0, description="step of prices, quote currency")
    # Value: what price would be without forced orders
    volatility: float = Field(default=0.5, gt=0, description="long-run volatility of its GARCH part, annual")
    garch_alpha: float = Field(default=0.015, ge=0, lt=1, description="weight of the last squared return, a step")
    garch_beta: float = Field(default=0.984, ge=0, lt=1, description="weight of the last variance, a step")
    tail: float = Field(default=5.0, gt=2, description="degrees of freedom of Student's t")
    trend_hours: float = Field(default=18.0, gt=0, description="mean length of a trend")
    trend_size: float = Field(default=0.015, ge=0, description="standard deviation of a trend's drift, log price a day")
    jumps_per_day: float = Field(default=0.3, ge=0, description="sudden moves")
    jump_size: float = Field(default=0.008, ge=0, description="standard deviation of a jump, log price")
    # Trade
    opened_per_day: float = Field(default=13_000.0, ge=0, description="new contracts a day, base units")
    volume_per_day: float = Field(
        default=250_000.0, gt=0, description="usual trade that leaves no position, base units a day"
    )
    closing_share: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="part of what leaves that meets the other side's leavers: open interest falls by it",
    )
    cohorts_per_step: int = Field(default=4, ge=1, description="newcomers of a side fall into so many cohorts a step")
    agents: tuple[AgentKind, ...] = Field(
        default=AGENTS,
        description="kinds of holders; without any, price is a walk and open interest independent of it",
    )
    atr_bars: float = Field(
        default=48.0, ge=1, description="memory of the average true range that stops are placed by, bars"
    )
    trend_bars: float = Field(default=288.0, ge=1, description="memory of the trend that trend followers see, bars")
    open_interest: float = Field(
        default=80_000.0, gt=0, description="usual open interest where there are no agents, base units"
    )
    oi_volatility: float = Field(default=0.04, ge=0, description="its standard deviation a day, log; without agents")
    oi_days: float = Field(default=10.0, gt=0, description="half-life of its departures; without agents")
    # Impact of forced orders; 0 makes price exogenous
    impact: float = Field(
        default=4.0, ge=0, description="Y in: move = Y x daily volatility x sqrt(forced / daily volume)"
    )
    permanent: float = Field(
        default=0.1,
        ge=0,
        description="linear part that stays, as a share of the move of an order of 1% of daily volume",
    )
    recovery_minutes: float = Field(default=45.0, gt=0, description="half-life of the book's displacement")
    # Mechanisms that are switched off in the world and on in a test of power; each draws on the true map
    magnet: float = Field(
        default=0.0, ge=-1, le=1, description="drift to the heavier side, volatilities of a step at full imbalance"
    )
    magnet_reach: float = Field(default=0.05, gt=0, le=1, description="how far from price mass attracts, log price")
    void: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="drift against spent forced flow where nothing lies ahead, volatilities of a step",
    )
    void_reach: float = Field(default=0.01, gt=0, le=1, description="how far ahead there is nothing, log price")
    void_mass: float = Field(default=0.005, ge=0, description="share of open interest below which that is nothing")
    void_swept: float = Field(default=0.005, gt=0, description="forced flow that it takes, share of open interest")
    void_minutes: float = Field(default=60.0, gt=0, description="half-life of the memory of that flow")
    # The true map
    snapshot_bars: int = Field(default=72, ge=1, description="the true map is kept at the close of every so many bars")
    bin_bps: float = Field(default=10.0, gt=0, le=200, description="width of its price bins, basis points of log price")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.garch_alpha + self.garch_beta >= 1:
            raise ValueError("garch_alpha + garch_beta must be below 1, or variance has no long-run level")
        if self.tick > self.price / 100:
            raise ValueError(f"tick {self.tick:g} is coarser than 1% of the price, {self.price:g}")
        if self.others and not self.agents:
            raise ValueError("further venues (others) need agents at the first one")
        return self

    @property
    def exogenous(self) -> bool:
        """Whether no agent's order moves price: then no map can say anything about it."""
        return self.impact == self.magnet == self.void == 0

    @property
    def all_venues(self) -> tuple[SimulatedVenue, ...]:
        """The first venue and the others, in one form; none where there are no agents."""
        if not self.agents:
            return self.others
        first = SimulatedVenue(
            venue=self.venue,
            symbol=self.symbol,
            opened_per_day=self.opened_per_day,
            volume_per_day=self.volume_per_day,
            agents=self.agents,
        )
        return (first, *self.others)


_STILL: Final = {"impact": 0.0, "trend_size": 0.0, "jumps_per_day": 0.0, "agents": CROWD}
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "bundled": {},
    "coupled": {"agents": CROWD},
    "null": _STILL,
    "walk": _STILL | {"agents": ()},
    "magnet": _STILL | {"magnet": 0.1},
    "void": _STILL | {"void": 0.3},
}
"""Markets by name. bundled: the default dataset's. coupled: forced orders move price; makers and trend followers.
null: the same agents on a GARCH-t walk that none of them moves. walk: that walk, and open interest independent of it.
magnet, void: the null with one mechanism switched on."""


def preset(name: str, changes: Mapping[str, Any] | None = None) -> SimulationSettings:
    """Return settings of :data:`PRESETS`, with changes.

    Raises
    ------
    SettingsError
        For an unknown name or setting, or one out of bounds.
    """
    if name not in PRESETS:
        raise SettingsError(f"no simulated market {name!r}; there are {', '.join(PRESETS)}")
    return parse(SimulationSettings, PRESETS[name] | dict(changes or {}), "simulation")
