"""Maps from elsewhere, read like the live one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forcedflow as ff
from forcedflow.errors import DataError
from forcedflow.market.known_map import KnownMap
from forcedflow.report import plot
from forcedflow.tables import LAYERS, MapSnapshots

levels = st.lists(
    st.tuples(st.floats(1e-3, 1e6), st.sampled_from([-1, 1]), st.floats(0, 1e9, allow_subnormal=False)),
    min_size=1,
    max_size=20,
)


@given(levels, st.floats(0, 0.05), st.sampled_from([5.0, 10.0, 50.0]))
def test_levels_keep_their_mass_and_their_place(
    given_levels: list[tuple[float, int, float]], step: float, bps: float
) -> None:
    price, side, mass = (np.array(column) for column in zip(*given_levels, strict=True))
    found = KnownMap.of_levels(price, side, mass, ts=0, source="test", step=step * float(price.min()), bin_bps=bps)
    held = found.mass()
    np.testing.assert_allclose(held[0].sum(), mass[side > 0].sum(), rtol=1e-9)
    np.testing.assert_allclose(held[1].sum(), mass[side < 0].sum(), rtol=1e-9)
    assert not held[2:].any()
    where = held[:2].sum(axis=0) * found.bins * found.bin_width
    wide = step * float(price.min()) / price + 1e-9  # spread evenly in price, so a little off in its logarithm
    assert abs(where.sum() - (mass * np.log(price)).sum()) <= (mass * wide).sum() + 1e-6


def test_a_level_is_split_between_its_two_nearest_bins() -> None:
    found = KnownMap.of_levels(
        np.exp(np.array([0.00025, 0.01])), np.array([1, -1]), np.array([8.0, 3.0]), ts=0, source="test"
    )
    np.testing.assert_allclose(found.mass()[0, :2], [6.0, 2.0])
    assert found.between(1.009, 1.011)[LAYERS.index("short_liq")] == pytest.approx(3.0)
    assert np.isnan(found.open_interest)
    assert not found.density().any()  # no share of what is not known


def test_a_map_that_was_written_is_read_back(tmp_path: Path) -> None:
    mass = np.zeros((1, 4, 5), np.float32)
    mass[0, 0, 1], mass[0, 3, 3] = 2.5, 4.0
    snapshots = MapSnapshots(np.array([7]), np.array([70]), np.arange(9_000, 9_005), 1e-3, mass, np.array([100.0]))
    plot.map_table(snapshots, tmp_path / "map.parquet")
    found, same = ff.read_map(tmp_path / "map.parquet"), KnownMap.of_snapshot(snapshots)
    assert (found.ts, found.open_interest, found.bin_width) == (same.ts, same.open_interest, same.bin_width)
    np.testing.assert_array_equal(found.mass(), same.mass()[:, 1:4])  # empty bins at the ends are not written
    np.testing.assert_allclose(found.density()[0, 0], 2.5 / 100 * 10)  # ten bins make 1% of price
    (tmp_path / "other.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a map that this version wrote"):
        ff.read_map(tmp_path / "other.parquet")


def test_positions_and_measured_levels(shared_data: Path) -> None:
    folder = shared_data / "hyperliquid_maps"
    positions = ff.read_map(folder / "positions_btc_2026-01-04.json")
    raw = json.loads((folder / "positions_btc_2026-01-04.json").read_text())["positions"]
    ends = [row["position"] for row in raw if row["position"]["liquidation_px"] is not None]
    assert positions.mass().sum() == pytest.approx(sum(abs(row["size"]) for row in ends))

    file = sorted(folder.glob("data_*.json"))[0]
    measured = ff.read_map(file, "BTC")
    levels_ = json.loads(file.read_text())["data"]["BTC"]
    longs = sum(row["value"] / row["price"] for row in levels_["longLiquidations"])
    assert measured.mass()[0].sum() == pytest.approx(longs)
    assert measured.between(0, levels_["currentPrice"])[0] == pytest.approx(longs)
    with pytest.raises(DataError, match=r"say which coin: .*BTC"):
        ff.read_map(file)


def test_a_vendors_heatmap(tmp_path: Path) -> None:
    data = {
        "y_axis": [90.0, 100.0, 110.0],
        "liquidation_leverage_data": [[0, 0, 9e6], [1, 0, 9e6], [1, 2, 22e6]],
        "price_candlesticks": [[k, "1", "1", "1", "99", "5"] for k in (1, 2)],
        "update_time": 3,
    }
    path = tmp_path / "vendor.json"
    path.write_text(json.dumps({"data": data}))
    found = ff.read_map(path)
    np.testing.assert_allclose(found.mass().sum(axis=1), [1e5, 2e5, 0, 0])
    spread = found.prices[found.mass()[1] > 0]  # a bucket is ten wide
    assert spread.min() == pytest.approx(105, rel=2e-3)
    assert spread.max() == pytest.approx(115, rel=2e-3)


def test_what_is_no_map(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        ff.read_map(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match="not a saved heatmap"):
        ff.read_map(tmp_path / "list.json")
