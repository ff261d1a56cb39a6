"""What a sweep reads off an account's rows again: bar by bar, and trade by trade."""

from __future__ import annotations

from typing import Any


def equity_by_bar(fills: Any, funded: Any, worth: list[float], cash: float) -> tuple[list[float], int]:
    """Return equity at every close, and how many bars close with a position; payments come before a bar's fills."""
    position, equity, exposed = 0.0, [], 0
    for bar, value in enumerate(worth):
        for row in [*(r for r in funded if r["bar"] == bar), *(r for r in fills if r["bar"] == bar)]:
            cash, position = float(row["cash"]), float(row["position"])
        equity.append(position * value + cash)
        exposed += position != 0.0
    return equity, exposed


def trade_costs(fills: Any, entered: int) -> dict[int, tuple[float, int]]:
    """Return, by the order whose lot it is, what a trade's fills cost and the bar of its last fill."""
    found: dict[int, tuple[float, int]] = {}
    for fill in fills:
        lot = int(fill["lot"])
        assert (fill["reason"] == entered) == (lot not in found)
        paid = float(fill["fee"] + fill["spread"] + fill["impact"])
        found[lot] = (found.get(lot, (0.0, 0))[0] + paid, int(fill["bar"]))
    return found
