"""Every reader on its real file, with the facts and traps that the file is known for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forcedflow.data import Bars
from forcedflow.data.sources import binance, cftc, hyperliquid, liquidations
from forcedflow.data.times import DAY, HOUR, MINUTE, instant_ns
from forcedflow.errors import DataError


def resampled(bars: Bars, interval: int) -> dict[int, tuple[float, ...]]:
    """Return (open, high, low, close, volume) of each whole wider bar, by its opening time."""
    count = interval // bars.interval
    hour, position = np.divmod(bars.ts, interval)
    whole = [h for h in np.unique(hour) if (hour == h).sum() == count]
    out: dict[int, tuple[float, ...]] = {}
    for h in whole:
        rows = np.flatnonzero(hour == h)
        assert position[rows[0]] == 0
        out[int(h * interval)] = (
            bars.open[rows[0]],
            bars.high[rows].max(),
            bars.low[rows].min(),
            bars.close[rows[-1]],
            bars.volume[rows].sum(),
        )
    return out


@pytest.mark.parametrize("coin", ["BTC", "SOL", "DOGE"])
def test_binance_5m_resampled_equals_1h(coin: str, shared_data: Path) -> None:
    folder = shared_data / "binance_um"
    fine, log = binance.read_klines(folder / f"{coin}USDT_klines_5m.feather", repair=["drop_unfinished"])
    coarse, _ = binance.read_klines(folder / f"{coin}USDT_klines_1h.csv", repair=["drop_unfinished"])
    assert log == ("drop_unfinished: the last bar dropped, 2026-01-29T06:30:00Z",)
    assert coarse.quote_volume is not None
    rows = zip(coarse.open, coarse.high, coarse.low, coarse.close, coarse.volume, strict=True)
    hourly = dict(zip(coarse.ts.tolist(), rows, strict=True))
    wide = resampled(fine, HOUR)
    assert len(wide) == 1446
    np.testing.assert_allclose(list(wide.values()), [hourly[ts] for ts in wide], rtol=1e-9)


def test_binance_other_klines(shared_data: Path) -> None:
    folder = shared_data / "binance_um"
    minute, _ = binance.read_klines(folder / "BTCUSDT_klines_1m_2025-05.feather")
    assert (len(minute), minute.interval) == (43199, MINUTE)
    four, _ = binance.read_klines(folder / "BTCUSDT_klines_4h.csv", repair=["drop_unfinished"])
    assert (len(four), four.interval) == (4499, 4 * HOUR)
    crash = four.between(instant_ns("2025-10-10T20:00"), instant_ns("2025-10-11"))
    assert crash.low[0] < 105_000 < 110_000 < crash.high[0]
    mark, _ = binance.read_klines(folder / "BTCUSDT_mark_1h.feather")
    assert (len(mark), mark.volume.max()) == (1446, 0)


def test_binance_klines_without_a_header(tmp_path: Path) -> None:
    rows = [f"{1577836800000 + 60000 * k},1,3,0.5,2,10,0,20,5,6,12,0" for k in range(3)]
    path = tmp_path / "BTCUSDT-1m-2020-01.csv"
    path.write_text("\n".join(rows) + "\n")
    bars, _ = binance.read_klines(path)
    assert (len(bars), bars.ts[0], bars.interval) == (3, instant_ns("2020-01-01"), MINUTE)
    assert bars.taker_buy_volume is not None
    assert (bars.high[0], bars.taker_buy_volume[0]) == (3, 6)
    path.write_text("\n".join([",".join(binance.KLINES), *rows]) + "\n")
    np.testing.assert_array_equal(binance.read_klines(path)[0].close, bars.close)


def test_binance_open_interest_is_known_five_minutes_after_its_stamp(shared_data: Path) -> None:
    folder = shared_data / "binance_um"
    oi = binance.read_open_interest(folder / "BTCUSDT_oi_5m.csv")
    assert (len(oi), oi.stamp[0]) == (55296, instant_ns("2025-12-01T00:05"))
    np.testing.assert_array_equal(oi.available_at, oi.stamp + 5 * MINUTE)
    assert (oi.stamp % (5 * MINUTE) != 0).sum() == 8  # stamps a few seconds late stay as they are
    coarse = binance.read_open_interest(folder / "BTCUSDT_oi_4h.csv")  # another download, the same facts
    both, row, other = np.intersect1d(oi.stamp, coarse.stamp, return_indices=True)
    assert len(both) > 150
    np.testing.assert_allclose(oi.value[row], coarse.value[other], rtol=1e-9)
    fall = oi.between(instant_ns("2026-05-04T10:00"), instant_ns("2026-05-04T12:00")).value
    assert fall.min() / fall[0] < 0.94  # a fall of open interest without a crash


def test_binance_funding(shared_data: Path) -> None:
    paid = binance.read_funding(shared_data / "binance_um" / "SOLUSDT_funding.csv")
    assert len(paid) == 546
    assert paid.rate.min() < 0 < paid.rate.max()


def test_binance_forced_orders(shared_data: Path) -> None:
    orders = binance.read_forced_orders(shared_data / "binance_um" / "forceorder_sample_2025-06-23.csv")
    assert sum(len(found) for found in orders.values()) == 702
    first = orders["FLUX"]
    assert (first.side[0], first.qty[0], first.price[0]) == (-1, 5739, 0.1895)  # BUY: a short
    assert orders["FUN"].side[0] == 1  # SELL: a long; last fill 14030, in all 15226
    assert orders["FUN"].qty[0] == 15226


def test_side_words_mean_opposite_things() -> None:
    """FACTS T14: Binance names the order that closes, Bybit the position that is closed."""
    assert liquidations.liquidated_side("binance-um", "SELL") == 1
    assert liquidations.liquidated_side("bybit", "Buy") == 1
    assert liquidations.liquidated_side("bybit", "Sell") == -1
    assert liquidations.liquidated_side("okx", "buy") == -1
    with pytest.raises(DataError, match="unknown side word"):
        liquidations.liquidated_side("binance-um", "LONG")


def test_prints(shared_data: Path) -> None:
    file = shared_data / "multi_venue" / "liquidation_prints.parquet"
    okx = {coin: liquidations.read_prints(file, "okx", coin) for coin in ("BTC", "SOL", "DOGE")}
    assert {coin: (found.side == -1).sum() for coin, found in okx.items()} == {"BTC": 1000, "SOL": 852, "DOGE": 1001}
    # With the contract multiplier all three are positions of ordinary sizes; without it DOGE's would be cents.
    for found in okx.values():
        assert 50 < np.median(found.qty * found.price) < 5000
    other = liquidations.read_prints(file, "hyperliquid", "BTC")
    assert (len(other), np.abs(other.side).max()) == (468, 0)
    with pytest.raises(DataError, match="no rows"):
        liquidations.read_prints(file, "okx", "ETH")


def test_daily_volume(shared_data: Path) -> None:
    daily = liquidations.read_daily(shared_data / "multi_venue" / "liquidation_volume_daily.parquet", "BTC")
    assert len(daily.ts) == 50
    assert (daily.ts % DAY == 0).all()
    short_of_total = 1 - (daily.long + daily.short) / daily.total
    assert short_of_total.max() > 0.01  # not mended: the sides do not always add up
    np.testing.assert_array_less(-1e-9, short_of_total)


def test_measured_maps(shared_data: Path) -> None:
    files = sorted((shared_data / "hyperliquid_maps").glob("data_*.json"))
    assert len(files) == 64
    taken = []
    for file in files:
        maps = hyperliquid.read_map(file)
        taken.append(maps["BTC"].ts)
        for found in maps.values():
            np.testing.assert_allclose(found.by_leverage.sum(axis=1), found.usd, rtol=1e-9)
            assert np.abs(found.level / found.price - 1).max(initial=0) < 0.31
    assert (np.diff(taken) > 0).all()
    assert taken[0] == instant_ns("2026-01-26T10:42:06.536703Z")


def test_a_level_on_the_wrong_side_is_refused(shared_data: Path, tmp_path: Path) -> None:
    content = json.loads(next((shared_data / "hyperliquid_maps").glob("data_*.json")).read_text())
    content["data"]["BTC"]["longLiquidations"][0]["price"] = 1e9
    spoilt = tmp_path / "map.json"
    spoilt.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"row 0, column 'BTC': level 1000000000\.0 .* wrong side"):
        hyperliquid.read_map(spoilt)
    spoilt.write_text("{}")
    with pytest.raises(DataError, match="not a measured map"):
        hyperliquid.read_map(spoilt)


def test_positions(shared_data: Path) -> None:
    found = hyperliquid.read_positions(shared_data / "hyperliquid_maps" / "positions_btc_2026-01-04.json")
    assert (len(found.qty), found.isolated.sum(), np.isnan(found.liquidation_price).sum()) == (67, 11, 3)
    assert (found.qty > 0).all()
    iso = found.isolated
    assert (found.side[iso] * (found.entry - found.liquidation_price)[iso] > 0).all()
    with pytest.raises(DataError, match="no such file"):
        hyperliquid.read_positions("missing.json")


def test_a_mean_is_divided_by_the_mean_price_of_its_period() -> None:
    columns: dict[str, Any] = {
        "ts": HOUR * np.arange(4),
        "open": [1.0, 3.0, 5.0, 9.0],
        "high": [3.0, 5.0, 9.0, 9.0],
        "low": [1.0, 3.0, 5.0, 9.0],
        "close": [3.0, 5.0, 9.0, 9.0],
        "volume": np.ones(4),
    }
    bars, _ = Bars.from_columns(columns)
    start = HOUR * np.array([0, 2, 8])
    value, priced = hyperliquid.base_units(start, np.array([6.0, 16.0, 1.0]), 2 * HOUR, bars)
    np.testing.assert_array_equal(value, [2.0, 2.0, np.nan])  # means of (2, 4) and (7, 9)
    assert priced.tolist() == [True, True, False]
    with pytest.raises(DataError, match="cannot be priced"):
        hyperliquid.base_units(start, np.ones(3), HOUR // 2, bars)


def test_commitments_are_known_on_friday(shared_data: Path) -> None:
    found = cftc.read_commitments(shared_data / "silver" / "COMEX_silver_COT_weekly.json")
    oi = found.open_interest
    assert len(oi) == 1022
    assert (oi.stamp[-1], oi.value[-1]) == (instant_ns("2026-01-07"), 153240 * 5000)  # as of the end of the 6th
    assert oi.available_at[-1] == instant_ns("2026-01-09T21:00")
    assert (((oi.available_at // DAY) + 3) % 7 == 4).all()
    assert found.managed_long[-1] == 26978 * 5000
