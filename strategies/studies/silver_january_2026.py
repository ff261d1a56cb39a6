"""Silver, late January 2026: three margin increases, zones swept one after another, the void, the stall.

Run it from the project's folder::

    uv run python strategies/studies/silver_january_2026.py
    uv run python strategies/studies/silver_january_2026.py --out silver.png

Open interest is ESTIMATED from volume, prices are one broker's quotes of spot silver, and holders are assumed to trade
COMEX futures: positions on margin calls at the exchange's rates, and stops. So the study shows what the engine makes of
such a market. It is no evidence that these orders were there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import forcedflow as ff
from forcedflow.venues import load_venue

BEGIN, END = "2026-01-12", "2026-02-10"
SHOWN = (
    ff.EventKind.ZONE_SWEPT,
    ff.EventKind.CHANNEL_BREAK,
    ff.EventKind.FAKE_OUT,
    ff.EventKind.VOID_ENTRY,
    ff.EventKind.VOID_EXHAUSTION,
)
LAYERS = ("long_liq", "long_stop", "short_liq", "short_stop")
MIN_SWEPT = 0.01  # share of open interest: smaller zones are counted, not listed


def margins() -> list[tuple[int, float]]:
    """Return the start (ns UTC) and the maintenance rate of each margin schedule of COMEX silver within the study."""
    schedules = load_venue("comex").symbols["SI"].schedules
    found = [(int(s.effective_from.timestamp()) * 1_000_000_000, s.brackets[0].rate) for s in schedules]
    begin, end = (np.datetime64(day, "ns").astype(np.int64) for day in (BEGIN, END))
    return [(at, rate) for at, rate in found if begin <= at < end]


def day_table(tape: ff.Tape) -> None:
    """Print each day's range and forced flow, and the margin in force."""
    bars, market = tape.bars, tape.market_bars
    day = bars.ts.astype("datetime64[ns]").astype("datetime64[D]")
    swept = {layer: market[f"swept_{layer}"] / market["oi"] for layer in LAYERS}
    print("\nday          close    range   forced selling, buying: % of OI")
    for today in np.arange(np.datetime64(BEGIN), np.datetime64(END)):
        rows = np.flatnonzero(day == today)
        if not len(rows):
            continue
        sold = sum(float(swept[layer][rows].sum()) for layer in LAYERS[:2])
        bought = sum(float(swept[layer][rows].sum()) for layer in LAYERS[2:])
        span = np.log(bars.high[rows].max() / bars.low[rows].min())
        raised = [f"margin {rate:.0%}" for at, rate in margins() if np.datetime64(at, "ns").astype(day.dtype) == today]
        print(f"{today}  {bars.close[rows[-1]]:8.3f}  {span:6.1%}  {sold:14.1%}  {bought:8.1%}  {' '.join(raised)}")


def fall(tape: ff.Tape) -> None:
    """Print what the fall from the high did to the map, bar by bar."""
    when = tape.events.ts.astype("datetime64[ns]")
    high = int(np.argmax(np.where(tape.bars.ts >= np.datetime64(BEGIN, "ns").astype(np.int64), tape.bars.high, 0.0)))
    events = tape.events[(tape.events.bar >= high) & (when < np.datetime64(END))].of_kind(*SHOWN)
    print(f"\nfrom the high of {tape.bars.high[high]:.3f} on; bars that swept under {MIN_SWEPT:.0%} left out")
    for bar, side in np.unique(np.stack((events.bar, -events.side)), axis=1).T:
        here = events[(events.bar == bar) & (events.side == -side)]
        told = [tell(event) for event in here if event.kind != ff.EventKind.ZONE_SWEPT]
        zones = here.of_kind(ff.EventKind.ZONE_SWEPT)
        if len(zones) and zones.mass_before.sum() >= MIN_SWEPT:
            edges = np.concatenate((zones.near, zones.far))
            told.insert(
                0,
                f"{len(zones):2d} zones of {edges.min():.2f} to {edges.max():.2f} swept, "
                f"{zones.mass_before.sum():.1%} of open interest",
            )
        for text in told:
            way = "down" if side > 0 else "up  "
            print(f"{here.ts[0].astype('datetime64[ns]').astype('datetime64[m]')}  {way} {here.close[0]:8.3f}  {text}")


def tell(event: ff.Event) -> str:
    """Return what matters about an event that is no sweep."""
    name = event.kind.title
    if event.kind == ff.EventKind.CHANNEL_BREAK:
        behind = f"zone behind it {event.mass_before:.1%} of OI" if np.isfinite(event.near) else "no zone behind it"
        return f"{name}: channel {event.channel}, {event.width:.1f} ATR wide; {behind}"
    if event.kind == ff.EventKind.FAKE_OUT:
        return f"{name}: back inside channel {event.group}"
    return (
        f"{name}: {event.swept:.1%} of OI swept before, {event.between:.2%} ahead, momentum {event.momentum:+.1f} ATR, "
        f"volatility short over long {event.vol_short / event.vol_long:.2f}"
    )


def stall(tape: ff.Tape) -> None:
    """Print what price did after each exhaustion of the fall."""
    close = tape.bars.close
    print("\nafter each VoidExhaustion of a fall: move up from its close in ATR, after 6, 12, 24, 48 bars")
    for event in tape.events.of_kind(ff.EventKind.VOID_EXHAUSTION):
        ts = np.datetime64(event.ts, "ns")
        if event.side > 0 or not np.datetime64(BEGIN) <= ts < np.datetime64(END):
            continue
        later = [min(event.bar + k, len(close) - 1) for k in (6, 12, 24, 48)]
        moved = "  ".join(f"{np.log(close[k] / event.close) / event.atr:+6.2f}" for k in later)
        print(f"{ts.astype('datetime64[m]')}  {moved}")


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="picture of the month")
    asked = parser.parse_args()
    tape = ff.make_tape(ff.load_dataset("silver-1h", None, END), snapshots=20_000)
    for note in tape.notes:
        print(f"note: {note}")
    day_table(tape)
    fall(tape)
    stall(tape)
    if asked.out is not None:
        rows = tape.bars.ts >= np.datetime64(BEGIN, "ns").astype(np.int64)
        bars = {name: getattr(tape.bars, name)[rows] for name in ("ts", "open", "high", "low", "close")}
        ff.plot.heatmap(tape.snapshots, bars, asked.out, title="Silver, January 2026", notes=tape.notes)
        print(f"\npicture: {asked.out}")


if __name__ == "__main__":
    try:
        main()
    except ff.ForcedFlowError as error:
        print(f"silver_january_2026: {error}", file=sys.stderr)
        sys.exit(2)
