"""Margin rules of venues and assumptions about holders: versioned data with sources, and the prices that follow."""

from __future__ import annotations

from forcedflow.venues.profiles import (
    AtrStop,
    Distance,
    Distances,
    MarginChange,
    Profile,
    RoundStop,
    SwingStop,
    Thresholds,
    Tier,
    Window,
    dump_profile,
    load_profile,
    profile_names,
    schedule_changes,
    thresholds,
)
from forcedflow.venues.rules import LiquidationPrice, Rule, liquidation_price
from forcedflow.venues.schedules import Bracket, Schedule, Venue, load_venue, venue_names

__all__ = [
    "AtrStop",
    "Bracket",
    "Distance",
    "Distances",
    "LiquidationPrice",
    "MarginChange",
    "Profile",
    "RoundStop",
    "Rule",
    "Schedule",
    "SwingStop",
    "Thresholds",
    "Tier",
    "Venue",
    "Window",
    "dump_profile",
    "liquidation_price",
    "load_profile",
    "load_venue",
    "profile_names",
    "schedule_changes",
    "thresholds",
    "venue_names",
]
