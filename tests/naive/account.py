"""The account, slow and obvious: every bar, every order, every position, one after another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ledger:
    """Books of one account; prices, signals and asked orders are plain lists of dicts and tuples."""

    cash: float
    maker_fee: float
    taker_fee: float
    half_spread: float
    max_leverage: float
    intrabar: str
    conflict: str
    max_open: int
    cooldown: int
    once_per_group: bool
    position: float = 0.0
    last_exit: float = -math.inf
    orders: list[dict[str, Any]] = field(default_factory=list)
    working: list[dict[str, Any]] = field(default_factory=list)
    lots: list[dict[str, Any]] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    equity: list[tuple[float, float, float]] = field(default_factory=list)

    def run(
        self,
        bars: list[tuple[float, float, float, float]],
        signals: list[tuple[int, int, int]],
        asked: list[dict[str, Any]],
    ) -> None:
        """Trade bars (open, high, low, close); signals are (bar, kind, group), orders name the signal they answer."""
        for bar, (open_, high, low, close) in enumerate(bars):
            self.at_open(bar, open_)
            self.inside(bar, high, low, close)
            for order in [o for o in self.working if bar >= o["bar"] + o["expiry"]]:
                self.drop(order, "expired", "expiry", bar)
            for row, (signal_bar, kind, group) in enumerate(signals):
                if signal_bar == bar:
                    self.hear(bar, kind, group)
                    for order in asked:
                        if order["event"] == row:
                            self.place(dict(order, bar=bar), close)
            self.equity.append((self.cash, self.position, self.cash + self.position * close))

    def fill(
        self, order: dict[str, Any], bar: int, side: int, mid: float, price: float, liquidity: str, reason: str
    ) -> dict[str, Any]:
        fee = (self.taker_fee if liquidity == "taker" else self.maker_fee) * order["qty"] * price
        self.cash -= side * order["qty"] * price + fee
        self.position = self.position + side * order["qty"] if self.lots else 0.0
        done = {
            "order_id": order["order_id"],
            "bar": bar,
            "side": side,
            "qty": order["qty"],
            "price": price,
            "reason": reason,
            "liquidity": liquidity,
            "fee": fee,
            "spread_cost": abs(price - mid) * order["qty"],
            "ambiguous": False,
        }
        self.fills.append(done)
        return done

    def enter(self, order: dict[str, Any], bar: int, mid: float, price: float, liquidity: str, how: str) -> None:
        self.working.remove(order)
        self.lots.append(order)
        order.update(status="filled", reason="entry", status_bar=bar, entry_bar=bar, how=how, leave="")
        self.fill(order, bar, order["side"], mid, price, liquidity, "entry")

    def leave(
        self, lot: dict[str, Any], bar: int, mid: float, price: float, liquidity: str, reason: str
    ) -> dict[str, Any]:
        self.lots.remove(lot)
        self.last_exit = bar
        return self.fill(lot, bar, -lot["side"], mid, price, liquidity, reason)

    def buys(self, price: float) -> float:
        return price * (1.0 + self.half_spread)

    def sells(self, price: float) -> float:
        return price * (1.0 - self.half_spread)

    def gaps(self, bar: int, open_: float) -> None:
        for lot in list(self.lots):
            long = lot["side"] == 1
            paid = self.sells(open_) if long else self.buys(open_)
            if lot["leave"]:
                self.leave(lot, bar, open_, paid, "taker", lot["leave"])
            elif lot["hold"] and bar - lot["entry_bar"] >= lot["hold"]:
                self.leave(lot, bar, open_, paid, "taker", "hold")
            elif (long and open_ <= lot["stop"]) or (not long and open_ >= lot["stop"]):
                self.leave(lot, bar, open_, paid, "taker", "stop")
            elif long and open_ >= lot["target"]:
                self.leave(lot, bar, open_, max(paid, lot["target"]), "taker", "target")
            elif not long and open_ <= lot["target"]:
                self.leave(lot, bar, open_, min(paid, lot["target"]), "taker", "target")

    def at_open(self, bar: int, open_: float) -> None:
        self.gaps(bar, open_)
        for order in list(self.working):
            kind, long, price = order["kind"], order["side"] == 1, order["price"]
            paid = self.buys(open_) if long else self.sells(open_)
            if kind == "market":
                self.enter(order, bar, open_, paid, "taker", "open")
            elif kind == "limit" and long and open_ <= price:
                self.enter(order, bar, open_, min(paid, price), "taker", "open")
            elif kind == "limit" and not long and open_ >= price:
                self.enter(order, bar, open_, max(paid, price), "taker", "open")
            elif kind == "stop" and ((long and open_ >= price) or (not long and open_ <= price)):
                self.enter(order, bar, open_, paid, "taker", "open")
        self.gaps(bar, open_)

    def inside(self, bar: int, high: float, low: float, close: float) -> None:
        for order in list(self.working):
            kind, long, price = order["kind"], order["side"] == 1, order["price"]
            if kind == "limit" and ((long and low < price) or (not long and high > price)):
                self.enter(order, bar, price, price, "maker", "limit inside")
            elif kind == "stop" and long and high >= price:
                self.enter(order, bar, price, self.buys(price), "taker", "stop inside")
            elif kind == "stop" and not long and low <= price:
                self.enter(order, bar, price, self.sells(price), "taker", "stop inside")
        for lot in list(self.lots):
            long, stop, target = lot["side"] == 1, lot["stop"], lot["target"]
            fresh_limit = lot["entry_bar"] == bar and lot["how"] == "limit inside"
            stopped = low <= stop if long else high >= stop
            if fresh_limit:
                reached = close > target if long else close < target
            else:
                reached = high > target if long else low < target
            if reached and not (stopped and self.intrabar == "worst"):
                done = self.leave(lot, bar, target, target, "maker", "target")
            elif stopped:
                done = self.leave(lot, bar, stop, self.sells(stop) if long else self.buys(stop), "taker", "stop")
            else:
                continue
            done["ambiguous"] = stopped and reached

    def drop(self, order: dict[str, Any], status: str, reason: str, bar: int) -> None:
        self.working.remove(order)
        order.update(status=status, reason=reason, status_bar=bar)

    def hear(self, bar: int, kind: int, group: int) -> None:
        for order in list(self.working):
            if kind in order["cancel_on"] and order["group"] == group:
                self.drop(order, "cancelled", "cancel_on", bar)
        for lot in self.lots:
            if kind in lot["exit_on"] and lot["group"] == group and not lot["leave"]:
                lot["leave"] = "exit_on"

    def place(self, order: dict[str, Any], close: float) -> None:
        bar = order["bar"]
        if order["kind"] == "close":
            for lot in self.lots:
                lot["leave"] = lot["leave"] or "close"
            return
        if order["kind"] == "cancel":
            for other in list(self.working):
                self.drop(other, "cancelled", "cancel", bar)
            return
        order["order_id"] = len(self.orders)
        order["reference"] = close if order["kind"] == "market" else order["price"]
        order["qty"] = 0.0
        self.orders.append(order)
        staying = [lot for lot in self.lots if not lot["leave"]]
        live = self.working + staying
        refusal = self.refusal(order, live)
        replaces = bool(live) and self.conflict in {"replace", "reverse"}
        if not refusal:
            order["qty"], refusal = self.size(
                order, close, [] if replaces else staying, [] if replaces else self.working
            )
        if refusal:
            order.update(status="refused", reason=refusal, status_bar=bar)
            return
        if replaces:
            for other in list(self.working):
                self.drop(other, "cancelled", self.conflict, bar)
            for lot in staying:
                lot["leave"] = self.conflict
        order.update(status="working", reason="", status_bar=bar)
        self.working.append(order)

    def refusal(self, order: dict[str, Any], live: list[dict[str, Any]]) -> str:
        group_is_taken = any(
            o["group"] == order["group"] and o["status"] in {"working", "filled"} for o in self.orders if o is not order
        )
        if self.once_per_group and order["group"] != 0 and group_is_taken:
            return "group"
        if order["bar"] < self.last_exit + self.cooldown:
            return "cooldown"
        if not live:
            return ""
        if self.conflict == "add":
            return "" if len(live) < self.max_open else "max_open"
        if self.conflict == "ignore":
            return "conflict"
        if self.conflict == "reverse" and any(other["side"] == order["side"] for other in live):
            return "conflict"
        return ""

    def size(
        self, order: dict[str, Any], close: float, lots: list[dict[str, Any]], working: list[dict[str, Any]]
    ) -> tuple[float, str]:
        equity = self.cash + self.position * close
        if equity <= 0:
            return 0.0, "equity"
        notional = 0.0
        for lot in lots:
            notional += lot["qty"] * close
        for other in working:
            notional += other["qty"] * other["reference"]
        rule, amount, reference = order["size_rule"], order["size"], order["reference"]
        qty = {
            "units": amount,
            "notional": amount / reference,
            "equity": amount * equity / reference,
            "risk": amount * equity / abs(reference - order["stop"]),
        }[rule]
        qty = min(qty, (self.max_leverage * equity - notional) / reference)
        return (qty, "") if qty > 0 else (0.0, "leverage")
