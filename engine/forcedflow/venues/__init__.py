"""Margin rules of venues and assumptions about holders: versioned data with sources, and the prices that follow."""

from __future__ import annotations

from forcedflow.venues.profiles import (
    AtrStop,
    MarginChange,
    Profile,
    RoundStop,
    SwingStop,
    Thresholds,
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
    "LiquidationPrice",
    "MarginChange",
    "Profile",
    "RoundStop",
    "Rule",
    "Schedule",
    "SwingStop",
    "Thresholds",
    "Venue",
    "liquidation_price",
    "load_profile",
    "load_venue",
    "profile_names",
    "schedule_changes",
    "thresholds",
    "venue_names",
]
