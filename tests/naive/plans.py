"""Plans row by row: what is wrong with one, and the orders it becomes."""

from __future__ import annotations

import math
from typing import Any

MARKET, STOP_LIMIT, RISK = 0, 3, 3

Row = dict[str, Any]


def first_fault(rows: list[Row], legs: int, closes: list[float]) -> tuple[str, str, int] | None:
    """Return field, problem and row of the first problem of the list that any row has."""
    found = [problems(row, rows[k - k % legs], closes[k // legs]) for k, row in enumerate(rows)]
    for field, problem in LIST:
        for k, row in enumerate(rows):
            if row["side"] != 0 and (field, problem) in found[k]:
                return field, problem, k
    return None


def problems(row: Row, first_leg: Row, close: float) -> list[tuple[str, str]]:
    """Return all that is wrong with a row."""
    market, both, reduces = row["kind"] == MARKET, row["kind"] == STOP_LIMIT, bool(row["reduce_only"])
    price = close if market else row["price"]
    entries = [row["limit"] if both else price, price]
    is_none = {name: math.isnan(row[name]) for name in ("price", "limit", "stop", "target", "trail")}

    def positive(name: str) -> bool:
        return bool(math.isfinite(row[name]) and row[name] > 0)

    away = {
        "stop": all(entry > row["stop"] if row["side"] > 0 else entry < row["stop"] for entry in entries),
        "target": all(entry < row["target"] if row["side"] > 0 else entry > row["target"] for entry in entries),
    }
    holds = [
        row["side"] in {1, -1, 0},
        not market or is_none["price"],
        market or positive("price"),
        both or is_none["limit"],
        is_none["stop"] or positive("stop"),
        is_none["target"] or positive("target"),
        row["size_rule"] != RISK or not (is_none["stop"] and is_none["trail"]),
        is_none["stop"] or away["stop"],
        is_none["target"] or away["target"],
        positive("size"),
        row["expiry"] >= 1,
        row["hold"] >= 0,
        row["oco"] >= 0,
        not both or positive("limit"),
        is_none["trail"] or positive("trail"),
        *(not reduces or is_none[name] for name in ("stop", "target", "trail")),
        not reduces or row["hold"] == 0,
        not (reduces and both),
        row["group"] == first_leg["group"],
        row["reduce_only"] == first_leg["reduce_only"],
    ]
    return [problem for problem, fine in zip(LIST, holds, strict=True) if not fine]


LIST = (
    ("side", "must be +1, -1 or 0"),
    ("price", "must be NaN for a market order"),
    ("price", "must be a positive number"),
    ("limit", "must be NaN for any order but a stop_limit"),
    ("stop", "must be a positive number, or NaN for none"),
    ("target", "must be a positive number, or NaN for none"),
    ("stop", "or trail is needed to size by risk"),
    ("stop", "must lie on the losing side of the entry"),
    ("target", "must lie on the winning side of the entry"),
    ("size", "must be a positive number"),
    ("expiry", "must be at least 1"),
    ("hold", "must not be negative"),
    ("oco", "must not be negative"),
    ("limit", "must be a positive number for a stop_limit"),
    ("trail", "must be a positive log distance, or NaN for none"),
    ("stop", "must be NaN for a reduce-only order"),
    ("target", "must be NaN for a reduce-only order"),
    ("trail", "must be NaN for a reduce-only order"),
    ("hold", "must be 0 for a reduce-only order"),
    ("reduce_only", "must be a market, limit or stop order"),
    ("group", "must be the same for all legs"),
    ("reduce_only", "must be the same for all legs"),
)


def orders(
    columns: dict[str, list[Any]], legs: int, events: list[int], bars: list[int], floor: int, heard: int, first: int
) -> list[Row] | None:
    """Return the rows that ask for something as orders; None where their events do not ascend in [floor, heard)."""
    asking = [k for k, side in enumerate(columns["side"]) if side != 0]
    answered = [events[k // legs] for k in asking]
    if answered != sorted(answered) or any(not floor <= event < heard for event in answered):
        return None
    heads = {k // legs: first + asking.index(k) for k in reversed(asking)}
    return [
        {name: values[k] for name, values in columns.items()}
        | {"event": event, "bar": bars[event], "ask": heads[k // legs]}
        for k, event in zip(asking, answered, strict=True)
    ]
