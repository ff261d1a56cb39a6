"""A channel whose lower boundary meets a dense zone of long liquidations: the break, and what followed.

Run it from the project's folder::

    uv run python strategies/studies/channel_into_zone.py
    uv run python strategies/studies/channel_into_zone.py --dataset sol-venues-1h --out sol.png

It takes the breaks of lower boundaries in the months of the two largest falls in the data (October 2025, January to
February 2026), prints the one with the most fuel behind its boundary bar by bar, and then sets all breaks of the
whole dataset that had a zone behind them beside those that had none. One case is an illustration; the table is the
evidence, and it says how little of it there is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

import forcedflow as ff

MONTHS = (("2025-10-01", "2025-11-01"), ("2026-01-15", "2026-03-01"))
HORIZONS = (3, 6, 12, 24, 48)  # bars after the break


def onward(tape: ff.Tape, events: ff.Events, bars: int) -> npt.NDArray[np.float64]:
    """Return how far price went on in the direction of each break after so many bars, in ATR; NaN past the end."""
    close = np.log(tape.bars.close)
    later = events.bar + bars
    there = np.where(later < len(close), close[np.minimum(later, len(close) - 1)], np.nan)
    moved: npt.NDArray[np.float64] = events.side * (there - np.log(events.close)) / events.atr
    return moved


def describe(tape: ff.Tape, event: ff.Event) -> None:
    """Print the break and the bars around it."""
    ts = np.datetime64(event.ts, "ns").astype("datetime64[m]")
    print(f"{ts} UTC: close {event.close:,.6g} under a boundary at {event.lower:,.6g}")
    print(
        f"  channel {event.channel}: {event.width:.1f} ATR wide, {event.slope / event.atr:+.3f} ATR a bar, touched "
        f"{event.upper_touches:.0f} and {event.lower_touches:.0f} times, accepted {event.channel_age:.0f} bars before"
    )
    print(
        f"  zone behind it: {event.near:,.6g} to {event.far:,.6g}, {event.mass_before:.2%} of open interest, "
        f"{event.fuel:.2f} bars of volume, {event.alignment:+.2f} ATR from the boundary"
    )
    print("  bar      close   move, ATR   forced selling, % of OI")
    market, bars = tape.market_bars, tape.bars
    for bar in range(event.bar - 2, min(event.bar + 13, len(bars))):
        sold = (market["swept_long_liq"][bar] + market["swept_long_stop"][bar]) / market["oi"][bar]
        moved = np.log(bars.close[bar] / event.close) / event.atr
        print(f"  {bar - event.bar:+3d}  {bars.close[bar]:>10,.6g}  {moved:>+9.2f}  {sold:>12.2%}")


def compare(tape: ff.Tape, breaks: ff.Events) -> None:
    """Print breaks with a zone behind them beside breaks without: mean move onward, its standard error, the count."""
    backed = np.isfinite(breaks.near)
    print(f"\nAll breaks of {tape.dataset.name}, mean move onward in ATR (standard error, over breaks)")
    print("  bars after        zone behind            none behind")
    for bars in HORIZONS:
        moved = onward(tape, breaks, bars)
        cells = []
        for group in (backed, ~backed):
            values = moved[group & np.isfinite(moved)]
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            cells.append(f"{values.mean() if len(values) else np.nan:+6.2f} ({error:4.2f}), n {len(values):3d}")
        print(f"  {bars:10d}   {'   '.join(cells)}")


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dataset", default="btc-venues-1h")
    parser.add_argument("--out", type=Path, help="picture of the days around the break")
    asked = parser.parse_args()
    tape = ff.make_tape(ff.load_dataset(asked.dataset))
    for note in tape.notes:
        print(f"note: {note}")
    breaks = tape.events.of_kind(ff.EventKind.CHANNEL_BREAK)
    when = breaks.ts.astype("datetime64[ns]")
    inside = np.any([(when >= np.datetime64(a)) & (when < np.datetime64(b)) for a, b in MONTHS], axis=0)
    cases = breaks[inside & (breaks.side < 0) & np.isfinite(breaks.near)]
    if len(cases):
        case = cases.row(int(np.argmax(cases.fuel)))
        print(f"\n{len(cases)} lower boundaries broke into a zone in these months; the one with the most fuel:")
        describe(tape, case)
        if asked.out is not None:
            draw(tape, case, asked.out)
    else:
        print("\nno lower boundary broke into a zone in these months")
    compare(tape, breaks)


def draw(tape: ff.Tape, case: ff.Event, out: Path) -> None:
    """Draw ten days up to five days after the break."""
    day = 86_400_000_000_000
    begin, end = (str(np.datetime64(case.ts + k * day, "ns").astype("datetime64[D]")) for k in (-10, 5))
    shown = ff.load_dataset(tape.dataset.name, None, end)
    picture = ff.make_tape(shown, tape.settings, snapshots=4000)
    rows = picture.bars.ts >= np.datetime64(begin, "ns").astype(np.int64)
    bars = {name: getattr(picture.bars, name)[rows] for name in ("ts", "open", "high", "low", "close")}
    ff.plot.heatmap(picture.snapshots, bars, out, title=f"{tape.dataset.title}: break {begin}", notes=tape.notes)
    print(f"  picture: {out}")


if __name__ == "__main__":
    try:
        main()
    except ff.ForcedFlowError as error:
        print(f"channel_into_zone: {error}", file=sys.stderr)
        sys.exit(2)
