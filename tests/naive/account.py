"""The account, slow and obvious: every bar, every order, every position, one after another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Bar = tuple[float, float, float, float]
Order = dict[str, Any]
NAN = math.nan


@dataclass
class Ledger:
    """Books of one account; prices, signals and asked orders are plain lists of dicts and tuples."""

    cash: float
    maker_fee: float
    taker_fee: float
    liquidation_fee: float
    half_spread: float
    impact: float
    participation: float
    max_leverage: float
    margin: str
    leverage: float
    intrabar: str
    conflict: str
    max_open: int
    cooldown: int
    once_per_group: bool
    # The market
    face: float = 0.0
    """Of an inverse contract; 0: linear."""
    funding: list[tuple[int, float]] = field(default_factory=list)
    """(bar, rate)."""
    schedules: list[dict[str, Any]] = field(default_factory=list)
    """bar, on_entry, contract and brackets: (cap, rate, amount, max_leverage)."""
    liquidity: list[tuple[float, float]] | None = None
    """By bar: volatility and volume before it."""
    volume: list[float] | None = None
    swept: list[list[tuple[float, int, float]]] | None = None
    """By bar: (price, side, mass)."""
    marks: list[tuple[float, float]] | None = None
    """By bar: high and low of the mark price."""
    finer: list[list[Bar]] | None = None
    # The books
    position: float = 0.0
    last_exit: float = -math.inf
    orders: list[Order] = field(default_factory=list)
    working: list[Order] = field(default_factory=list)
    lots: list[Order] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    paid: list[tuple[int, float, float, float]] = field(default_factory=list)
    equity: list[tuple[float, float, float]] = field(default_factory=list)

    def run(self, bars: list[Bar], signals: list[tuple[int, int, int]], asked: list[Order]) -> None:
        """Trade bars (open, high, low, close); signals are (bar, kind, group), orders name the signal they answer."""
        for bar, (_, _, _, close) in enumerate(bars):
            self.trade(bar, bars[bar])
            for order in [o for o in self.working if bar >= o["bar"] + o["expiry"]]:
                self.drop(order, "expired", "expiry", bar)
            for row, (signal_bar, kind, group) in enumerate(signals):
                if signal_bar == bar:
                    self.hear(bar, kind, group)
                    for order in asked:
                        if order["event"] == row:
                            self.place(dict(order, bar=bar), close)
            self.equity.append((self.cash, self.position, self.cash + self.position * self.worth(close)))

    # --- Money ---

    def worth(self, price: float) -> float:
        return -self.face / price if self.face else price

    def fill(
        self,
        order: Order,
        lot: Order,
        bar: int,
        side: int,
        qty: float,
        mid: float,
        quoted: float,
        liquidity: str,
        reason: str,
        bound: float = NAN,
    ) -> dict[str, Any]:
        forced = self.meets(bar, side, quoted, qty) if liquidity == "maker" else 0.0
        rest, price = qty - forced, quoted
        volatility, usual = self.liquidity[bar] if self.liquidity else (0.0, 0.0)
        if self.impact > 0 and volatility > 0 and usual > 0 and rest > 0:
            base = rest * (self.face / quoted if self.face else 1.0)
            move = self.impact * volatility / math.sqrt(usual) * math.sqrt(base) * (rest / qty)
            if side == 1:
                price = quoted * (1.0 + move)
                price = bound if price > bound else price
            else:
                price = quoted / (1.0 + move)
                price = bound if price < bound else price
        paid = self.worth(price)
        rate = self.taker_fee if liquidity == "taker" else self.maker_fee
        if reason == "liquidation":
            rate += self.liquidation_fee
        fee = rate * qty * abs(paid)
        self.cash -= side * qty * paid + fee
        self.position = self.position + side * qty if self.lots else 0.0
        done = {
            "order_id": order["order_id"],
            "lot": lot["order_id"],
            "bar": bar,
            "side": side,
            "qty": qty,
            "price": price,
            "reason": reason,
            "liquidity": liquidity,
            "fee": fee,
            "spread_cost": abs(self.worth(quoted) - self.worth(mid)) * qty,
            "impact_cost": abs(paid - self.worth(quoted)) * qty,
            "forced_qty": forced,
            "shortfall": 0.0,
            "ambiguous": False,
        }
        self.fills.append(done)
        return done

    def meets(self, bar: int, side: int, level: float, qty: float) -> float:
        """Return how much of a limit fill meets mass swept at or beyond its price."""
        if not self.swept or not self.participation:
            return 0.0
        assert self.volume is not None
        mass = 0.0
        for price, flow, bin_mass in self.swept[bar]:
            if flow == -side and (price <= level if side == 1 else price >= level):
                mass += bin_mass
        unit = self.face / level if self.face else 1.0
        room = self.participation * mass - self.met[side]
        room = min(room, self.volume[bar] - self.met[1] - self.met[-1])
        taken = min(qty * unit, max(room, 0.0))
        self.met[side] += taken
        return min(qty, taken / unit)

    # --- A bar ---

    def trade(self, bar: int, whole: Bar) -> None:
        self.now, self.whole = bar, whole
        self.met = {1: 0.0, -1: 0.0}
        for due, rate in self.funding:
            if due == bar and self.position:
                amount = -rate * self.position * abs(self.worth(whole[0]))
                self.cash += amount
                self.paid.append((bar, self.position, whole[0], amount))
        open_, high, low, close = whole
        mark_high, mark_low = self.marks[bar] if self.marks else (high, low)
        if self.intrabar == "path":
            points = [open_, low, high, close] if close >= open_ else [open_, high, low, close]
            subs = [(a, max(a, b), min(a, b), b) for a, b in pairwise(points)]
        elif self.intrabar == "drill":
            assert self.finer is not None
            subs = self.finer[bar]
        else:
            subs = [whole]
        for self.sub, (o, h, low_, c) in enumerate(subs):
            last = self.sub == len(subs) - 1
            self.mark = (mark_high, mark_low) if last else (min(mark_high, h), max(mark_low, low_))
            self.entered_at = NAN
            if self.sub == 0 or self.intrabar != "path":
                self.at_open(bar, o)
            self.inside(bar, h, low_, c)

    def at_open(self, bar: int, open_: float) -> None:
        self.gaps(bar, open_)
        for order in list(self.working):
            if order not in self.working:
                continue  # the other leg of an OCO filled
            long = order["side"] == 1
            paid = self.buys(open_) if long else self.sells(open_)
            if order["works_as"] == "stop_limit" and (open_ >= order["price"] if long else open_ <= order["price"]):
                order.update(works_as="limit", level=order["limit"])
            kind, price = order["works_as"], order["level"]
            if kind == "market":
                self.take(order, bar, open_, paid, "taker", "open")
            elif kind == "limit" and long and open_ <= price:
                self.take(order, bar, open_, min(paid, price), "taker", "open", price)
            elif kind == "limit" and not long and open_ >= price:
                self.take(order, bar, open_, max(paid, price), "taker", "open", price)
            elif kind == "stop" and (open_ >= price if long else open_ <= price):
                self.take(order, bar, open_, paid, "taker", "open")
        self.gaps(bar, open_)

    def gaps(self, bar: int, open_: float) -> None:
        for lot in list(self.lots):
            long = lot["side"] == 1
            paid = self.sells(open_) if long else self.buys(open_)
            stop, own = self.stop_of(lot), self.own_level(lot)
            stopped = open_ <= stop if long else open_ >= stop
            dead = (open_ <= own and self.mark[1] <= own) if long else (open_ >= own and self.mark[0] >= own)
            if lot["leave"]:
                self.leave(lot, bar, open_, paid, "taker", lot["leave"])
            elif lot["hold"] and bar - lot["entry_bar"] >= lot["hold"]:
                self.leave(lot, bar, open_, paid, "taker", "hold")
            elif dead and not (stopped and self.nearer(lot, stop, own)):
                if self.margin == "isolated":
                    self.leave(lot, bar, open_, paid, "taker", "liquidation")
            elif stopped:
                self.leave(lot, bar, open_, paid, "taker", "stop")
            elif long and open_ >= lot["target"]:
                self.leave(lot, bar, open_, max(paid, lot["target"]), "taker", "target", lot["target"])
            elif not long and open_ <= lot["target"]:
                self.leave(lot, bar, open_, min(paid, lot["target"]), "taker", "target", lot["target"])
        level = self.account_level()
        if (self.position > 0 and open_ <= level and self.mark[1] <= level) or (
            self.position < 0 and open_ >= level and self.mark[0] >= level
        ):
            self.ruin(bar, open_)

    def inside(self, bar: int, high: float, low: float, close: float) -> None:
        for order in list(self.working):
            if order in self.working and not order["reduce_only"]:
                self.meet(order, bar, high, low, close)
        turns = ("limit", "stop") if self.intrabar == "target_first" else ("stop", "limit")
        self.reduce_turn(turns[0], bar, high, low, close)
        while self.exits(bar, high, low, close) and self.margin == "cross":
            pass
        self.liquidate_inside(bar, high, low, close)
        self.reduce_turn(turns[1], bar, high, low, close)
        for lot in self.lots:
            best = high if lot["side"] == 1 else low
            if self.fresh(lot) and lot["how"] == "limit":
                best = close
            lot["best"] = max(lot["best"], best) if lot["side"] == 1 else min(lot["best"], best)

    def reduce_turn(self, kind: str, bar: int, high: float, low: float, close: float) -> None:
        for order in list(self.working):
            if order in self.working and order["reduce_only"] and order["works_as"] == kind:
                self.meet(order, bar, high, low, close)

    def meet(self, order: Order, bar: int, high: float, low: float, close: float) -> None:
        kind, long, price = order["works_as"], order["side"] == 1, order["level"]
        touched = high >= price if long else low <= price
        if kind == "limit":
            if low < price if long else high > price:
                self.take(order, bar, price, price, "maker", "limit")
        elif kind == "stop" and touched:
            self.take(order, bar, price, self.buys(price) if long else self.sells(price), "taker", "touch")
        elif kind == "stop_limit" and touched:
            limit = order["limit"]
            order.update(works_as="limit", level=limit)
            if limit >= price if long else limit <= price:
                paid = min(self.buys(price), limit) if long else max(self.sells(price), limit)
                self.take(order, bar, price, paid, "taker", "touch", limit)
            elif close < limit if long else close > limit:
                self.take(order, bar, limit, limit, "maker", "limit")

    def exits(self, bar: int, high: float, low: float, close: float) -> bool:
        any_left = False
        for lot in list(self.lots):
            long, target = lot["side"] == 1, lot["target"]
            top, bottom, (mark_top, mark_bottom) = high, low, self.mark
            if self.fresh(lot) and self.intrabar == "path":
                top = mark_top = max(lot["since"], close)
                bottom = mark_bottom = min(lot["since"], close)
            stop, own = self.stop_of(lot), self.own_level(lot)
            stopped = bottom <= stop if long else top >= stop
            dead = mark_bottom <= own if long else mark_top >= own
            best = close if self.fresh(lot) and lot["how"] == "limit" else (top if long else bottom)
            reached = best > target if long else best < target
            ambiguous = reached and (stopped or dead)
            if self.intrabar == "path":
                ambiguous = self.both_in_bar(lot, stop, dead)
                just_in = lot["how"] == "touch" and lot["entry_bar"] == bar
                if just_in and ambiguous and reached and not (stopped or dead):
                    stopped, (_, top, bottom, _) = True, self.whole
            if reached and (not (stopped or dead) or self.intrabar == "target_first"):
                level = min(max(target, bottom), top)
                done = self.leave(lot, bar, level, level, "maker", "target")
            elif dead and not (stopped and self.nearer(lot, stop, own)):
                if self.margin == "cross":
                    continue
                level = min(max(own, bottom), top)
                done = self.leave(
                    lot, bar, level, self.sells(level) if long else self.buys(level), "taker", "liquidation"
                )
            elif stopped:
                level = min(max(stop, bottom), top)
                done = self.leave(lot, bar, level, self.sells(level) if long else self.buys(level), "taker", "stop")
            else:
                continue
            done["ambiguous"] = ambiguous
            any_left = True
        return any_left

    def both_in_bar(self, lot: Order, stop: float, dead: bool) -> bool:
        _, high, low, close = self.whole
        best = close if lot["how"] == "limit" and lot["entry_bar"] == self.now else None
        if lot["side"] == 1:
            return (dead or low <= stop) and (high if best is None else best) > lot["target"]
        return (dead or high >= stop) and (low if best is None else best) < lot["target"]

    def liquidate_inside(self, bar: int, high: float, low: float, close: float) -> None:
        level = self.account_level()
        mark_high, mark_low = self.mark
        if self.intrabar == "path" and not math.isnan(self.entered_at):
            high = mark_high = max(self.entered_at, close)
            low = mark_low = min(self.entered_at, close)
        if (self.position > 0 and mark_low <= level) or (self.position < 0 and mark_high >= level):
            self.ruin(bar, min(max(level, low), high))

    # --- Entries and exits ---

    def take(
        self, order: Order, bar: int, mid: float, paid: float, liquidity: str, how: str, bound: float = NAN
    ) -> None:
        if order["reduce_only"] and not self.reduce(order, bar, mid, paid, liquidity, how, bound):
            self.drop(order, "cancelled", "reduce", bar)
            return
        for other in list(self.working):
            if other is not order and order["oco"] and other["oco"] == order["oco"]:
                self.drop(other, "cancelled", "oco", bar)
        self.working.remove(order)
        if order["reduce_only"]:
            order.update(status="filled", reason="reduce", status_bar=bar)
            return
        self.lots.append(order)
        order.update(status="filled", reason="entry", status_bar=bar, entry_bar=bar, how=how, sub=self.sub)
        order.update(leave="", left=order["qty"], since=mid)
        done = self.fill(order, order, bar, order["side"], order["qty"], mid, paid, liquidity, "entry", bound)
        order.update(entry_price=done["price"], best=done["price"])
        order["margin"] = order["qty"] * abs(self.worth(done["price"])) / self.leverage
        if how != "open":
            self.entered_at = mid

    def reduce(self, order: Order, bar: int, mid: float, paid: float, liquidity: str, how: str, bound: float) -> bool:
        wanted = order["qty"]
        for lot in list(self.lots):
            if lot["side"] == order["side"] or (how == "limit" and self.fresh(lot)) or wanted == 0:
                continue
            part = min(wanted, lot["left"])
            wanted -= part
            self.leave(lot, bar, mid, paid, liquidity, "reduce", bound, part, order)
        if wanted == order["qty"]:
            return False
        order["qty"] -= wanted
        return True

    def leave(
        self,
        lot: Order,
        bar: int,
        mid: float,
        paid: float,
        liquidity: str,
        reason: str,
        bound: float = NAN,
        part: float | None = None,
        order: Order | None = None,
    ) -> dict[str, Any]:
        part = lot["left"] if part is None else part
        lot["left"] -= part
        if not lot["left"]:
            self.lots.remove(lot)
            self.last_exit = bar
        done = self.fill(order or lot, lot, bar, -lot["side"], part, mid, paid, liquidity, reason, bound)
        if reason == "liquidation" and self.margin == "isolated":
            gain = lot["side"] * part * (self.worth(done["price"]) - self.worth(lot["entry_price"]))
            done["shortfall"] = max(done["fee"] - gain - lot["margin"] * (part / lot["qty"]), 0.0)
        return done

    def ruin(self, bar: int, level: float) -> None:
        for lot in list(self.lots):
            paid = self.sells(level) if lot["side"] == 1 else self.buys(level)
            how = self.leave(lot, bar, level, paid, "taker", "liquidation")
        for order in list(self.working):
            self.drop(order, "cancelled", "liquidation", bar)
        how["shortfall"] = max(-self.cash, 0.0)

    def fresh(self, lot: Order) -> bool:
        return (lot["entry_bar"], lot["sub"]) == (self.now, self.sub) and lot["how"] != "open"

    def buys(self, price: float) -> float:
        return price * (1.0 + self.half_spread)

    def sells(self, price: float) -> float:
        return price * (1.0 - self.half_spread)

    # --- Levels ---

    def stop_of(self, lot: Order) -> float:
        trailed = lot["best"] * lot["ratchet"]
        if math.isnan(trailed):
            return float(lot["stop"])
        if math.isnan(lot["stop"]):
            return float(trailed)
        return float(max(lot["stop"], trailed) if lot["side"] == 1 else min(lot["stop"], trailed))

    def nearer(self, lot: Order, stop: float, own: float) -> bool:
        return stop >= own if lot["side"] == 1 else stop <= own

    def own_level(self, lot: Order) -> float:
        if self.margin == "isolated":
            value = lot["left"] * abs(self.worth(lot["entry_price"]))
            d = self.direction(lot["side"])
            margin = lot["margin"] * (lot["left"] / lot["qty"])
            return self.level(lot["side"], lot["left"], margin - d * value, value)
        return self.account_level() if lot["side"] * self.position > 0 else NAN

    def account_level(self) -> float:
        if self.margin != "cross" or self.position == 0:
            return NAN
        entered = 0.0
        for lot in self.lots:
            entered += lot["side"] * lot["left"] * abs(self.worth(lot["entry_price"]))
        return self.level(1 if self.position > 0 else -1, abs(self.position), self.cash, abs(entered))

    def direction(self, side: int) -> float:
        return float(-side if self.face else side)

    def table(self) -> dict[str, Any] | None:
        found = [schedule for schedule in self.schedules if schedule["bar"] <= self.now]
        return found[-1] if found else None

    def level(self, side: int, qty: float, cash: float, at_entry: float) -> float:
        table = self.table()
        if table is None:
            return NAN
        rows, d = table["brackets"], self.direction(side)

        contract = table["contract"]

        def row_of(value: float) -> Any:
            size = qty / contract if contract else value
            return next((row for row in rows if size <= row[0]), rows[-1])

        row = row_of(at_entry)
        if table["on_entry"]:
            value = d * (row[1] * at_entry - row[2] - cash)
        else:
            for _ in range(len(rows) + 1):
                value = (-cash - row[2]) / (d - row[1])
                if row_of(value) == row:
                    break
                row = row_of(value)
        if value <= 0:
            return NAN
        price: float = qty * self.face / value if self.face else value / qty
        return price

    # --- At the close ---

    def drop(self, order: Order, status: str, reason: str, bar: int) -> None:
        self.working.remove(order)
        order.update(status=status, reason=reason, status_bar=bar)

    def hear(self, bar: int, kind: int, group: int) -> None:
        for order in list(self.working):
            if kind in order["cancel_on"] and order["group"] == group:
                self.drop(order, "cancelled", "cancel_on", bar)
        for lot in self.lots:
            if kind in lot["exit_on"] and lot["group"] == group and not lot["leave"]:
                lot["leave"] = "exit_on"

    def place(self, order: Order, close: float) -> None:
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
        order["reference"] = {"market": close, "stop_limit": order["limit"]}.get(order["kind"], order["price"])
        order.update(works_as=order["kind"], level=order["price"], qty=0.0, best=order["reference"])
        legs = [other for other in self.orders if other["event"] == order["event"] and other["leg_of"]]
        order["leg_of"] = not order["reduce_only"]
        self.orders.append(order)
        staying = [lot for lot in self.lots if not lot["leave"]]
        entering = [other for other in self.working if not other["reduce_only"]]
        if order["reduce_only"]:
            refusal, replaces = "", False
        elif legs:
            refusal = legs[0]["verdict"]
            replaces = legs[0]["makes_way"] and not any(leg["qty"] > 0 for leg in legs)
        else:
            refusal = self.refusal(order, entering + staying)
            replaces = bool(entering or staying) and self.conflict in {"replace", "reverse"} and not refusal
            order.update(verdict=refusal, makes_way=replaces)
        if not refusal:
            order["qty"], refusal = self.size(order, close, [] if replaces else staying, [] if replaces else entering)
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

    def refusal(self, order: Order, live: list[Order]) -> str:
        group_is_taken = any(
            o["group"] == order["group"] and o["status"] in {"working", "filled"} and not o["reduce_only"]
            for o in self.orders
            if o is not order
        )
        if self.once_per_group and order["group"] != 0 and group_is_taken:
            return "group"
        if order["bar"] < self.last_exit + self.cooldown:
            return "cooldown"
        if not live:
            return ""
        if self.conflict == "add":
            return "" if len({other["event"] for other in live}) < self.max_open else "max_open"
        if self.conflict == "ignore":
            return "conflict"
        if self.conflict == "reverse" and any(other["side"] == order["side"] for other in live):
            return "conflict"
        return ""

    def size(self, order: Order, close: float, lots: list[Order], working: list[Order]) -> tuple[float, str]:
        equity = self.cash + self.position * self.worth(close)
        unit = abs(self.worth(order["reference"]))
        amount = order["size"]
        risk = abs(self.worth(order["reference"]) - self.worth(self.stop_of(order)))
        qty = {
            "units": amount,
            "notional": amount / unit,
            "equity": amount * equity / unit,
            "risk": amount * equity / risk,
        }[order["size_rule"]]
        if order["reduce_only"]:
            return (qty, "") if qty > 0 else (0.0, "equity")
        if equity <= 0:
            return 0.0, "equity"
        used = 0.0
        for lot in lots:
            used += lot["left"] * abs(self.worth(close))
        for other in working:
            if not (order["oco"] and other["oco"] == order["oco"]):
                used += other["qty"] * abs(self.worth(other["reference"]))
        leverage = self.max_leverage
        room = leverage * equity
        if self.margin == "isolated":
            leverage = self.leverage
            room = min(self.max_leverage, self.leverage) * equity
        table = self.table()
        if self.margin != "none" and table is not None:
            allowed = [row[0] for row in table["brackets"] if row[3] >= leverage]
            largest = allowed[-1] if allowed else 0.0
            room = min(room, largest * table["contract"] * unit if table["contract"] else largest)
        qty = min(qty, (room - used) / unit)
        return (qty, "") if qty > 0 else (0.0, "leverage")
