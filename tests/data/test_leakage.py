"""A series that describes a later time than it says is refused; one that says so is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forcedflow.data import Bars, OpenInterest, leakage_check, load_dataset
from forcedflow.data.sources.table import TimeColumn, read_columns
from forcedflow.data.times import HOUR
from forcedflow.errors import DataError


def toy(shift: int) -> tuple[Bars, OpenInterest]:
    """Return open interest that rises with the return of the bar it ends, stamped ``shift`` bars too early."""
    rng = np.random.default_rng(3)
    returns, noise = rng.normal(0, 1e-3, (2, 3000))
    close = 100 * np.exp(np.cumsum(returns))
    columns = {"ts": HOUR * np.arange(3000), "volume": np.ones(3000)} | dict.fromkeys(
        ("open", "high", "low", "close"), close
    )
    bars, _ = Bars.from_columns(columns)
    value = 1e6 * np.exp(np.cumsum(0.4 * returns + noise))
    return bars, OpenInterest.from_columns(bars.close_ts[: 3000 - shift], value[shift:])


def test_the_right_timing_passes_and_an_early_stamp_is_refused() -> None:
    found = leakage_check(*toy(0))
    assert found.same == pytest.approx(0.4, abs=0.05)
    assert abs(found.lead_t) < 4
    with pytest.raises(DataError, match=r"oi\.csv, column 'stamp': open interest knows the future"):
        leakage_check(*toy(1), file="oi.csv")


def test_a_value_in_quote_currency_is_refused() -> None:
    bars, oi = toy(0)
    usd = OpenInterest.from_columns(oi.stamp, 1e6 * bars.close)
    with pytest.raises(DataError, match=r"column 'value'.*one for one with price"):
        leakage_check(bars, usd)


def test_too_short_or_constant_series_pass_unchecked() -> None:
    bars, oi = toy(1)
    short = oi.between(0, int(oi.stamp[100]))
    assert leakage_check(bars, short).rows == 0
    constant = OpenInterest.from_columns(oi.stamp, np.ones(len(oi)))
    assert "too short" in str(leakage_check(bars, constant))


@pytest.mark.parametrize("coin", ["BTC", "SOL", "DOGE"])
def test_hyperliquid_stamped_at_the_hours_start_is_refused(coin: str, shared_data: Path) -> None:
    """FACTS 0c: the stamp is the hour's start, the value its average; as the state at the stamp it knows the hour."""
    bars = load_dataset(f"{coin.lower()}-venues-1h").bars
    where = {"venue": "hyperliquid", "coin": coin}
    file = shared_data / "multi_venue" / "open_interest_usd.parquet"
    named = read_columns(file, {"ts": TimeColumn("timestamp"), "usd": "oi_usd"}, where=where)
    row = np.searchsorted(bars.close_ts, named["ts"])
    inside = (named["ts"] >= bars.close_ts[0]) & (named["ts"] <= bars.close_ts[-1])
    price = bars.close[row[inside]]
    early = OpenInterest.from_columns(named["ts"][inside], named["usd"][inside] / price, named["ts"][inside] + HOUR)
    with pytest.raises(DataError, match="knows the future"):
        leakage_check(bars, early)
