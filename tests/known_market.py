"""A simulated market whose holders are known."""

from __future__ import annotations

from forcedflow.data.agents import SimulationSettings, preset
from forcedflow.study.calibration.survey import HOLDERS

TRUTH = HOLDERS
"""Share of what is opened by leverage."""
HOLDING_HOURS = 96.0


def known_market(bars: int, **changes: object) -> SimulationSettings:
    """Holders without stops, all alike but for leverage, on a price that none of them moves."""
    agents = [
        {"leverage": leverage, "weight": weight, "notional": 20_000, "holding_hours": HOLDING_HOURS}
        for leverage, weight in TRUTH.items()
    ]
    settings = {"bars": bars, "seed": 11, "agents": agents, "volatility": 0.9, "snapshot_bars": 24}
    return preset("null", settings | {"warmup_bars": 2000} | changes)
