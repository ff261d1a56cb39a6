"""A vendor's heatmap: what is taken from it, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forcedflow.data.sources import coinglass
from forcedflow.errors import DataError


def saved(folder: Path, **changes: Any) -> Path:
    """Write a heatmap of three candles and four prices in the form of version 4."""
    data = {
        "y_axis": [90.0, 95.0, 100.0, 105.0],
        "liquidation_leverage_data": [[0, 0, 5e6], [1, 0, 6e6], [2, 0, 7e6], [2, 3, 2e6], [1, 3, 9e6], [2, 3, 1e6]],
        "price_candlesticks": [[1_700_000_000 + 60 * k, "99", "101", "98", "100", "5"] for k in range(3)],
        "update_time": 1_700_000_130,
    }
    path = folder / "heatmap.json"
    path.write_text(json.dumps({"code": "0", "data": data | changes}))
    return path


def test_only_the_last_column_is_the_map_now(tmp_path: Path) -> None:
    found = coinglass.read_heatmap(saved(tmp_path))
    assert found.level.tolist() == [90.0, 105.0]
    assert found.usd.tolist() == [7e6, 3e6]  # all columns together would make 18 and 12 million
    assert (found.price, found.step, found.ts) == (100.0, 5.0, 1_700_000_130_000_000_000)


def test_times_in_milliseconds_or_of_the_last_candle(tmp_path: Path) -> None:
    assert coinglass.read_heatmap(saved(tmp_path, update_time=1_700_000_130_500)).ts == 1_700_000_130_500_000_000
    assert coinglass.read_heatmap(saved(tmp_path, update_time=None)).ts == 1_700_000_120_000_000_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_axis": [95.0, 90.0, 100.0, 105.0]}, "'y_axis': prices must be positive and ascend"),
        ({"liquidation_leverage_data": [[2, 0, 1.0], [2, 4, 1.0]]}, r"row 1, .* cell \[2.0, 4.0, 1.0\] lies outside"),
        ({"liquidation_leverage_data": [[2, 0, -1.0]]}, "row 0, .* is negative"),
        ({"liquidation_leverage_data": []}, "no cells"),
        ({"price_candlesticks": []}, "not a saved heatmap"),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        coinglass.read_heatmap(saved(tmp_path, **changes))
