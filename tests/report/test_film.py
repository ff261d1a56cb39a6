"""What a watcher is shown of a window: the bars, the map as it stood, and nothing from after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forcedflow as ff
from forcedflow.errors import RecordError
from forcedflow.market.tape import MarketPass
from forcedflow.record import Run, write
from forcedflow.report.film import Film
from report.test_tearsheet import unpacked


@pytest.fixture(scope="module")
def data() -> ff.Dataset:
    return ff.load_dataset("simulated", None, "2025-01-12")


@pytest.fixture(scope="module")
def film(data: ff.Dataset) -> Film:
    return Film.of_dataset(data)


def masses(sent: Any) -> Any:
    """Shares by column, layer and row, as the page reads them."""
    shape = (sent["columns"], 4, sent["rows"])
    levels = np.cumsum(unpacked(sent["levels"], "u1").reshape(shape), axis=0, dtype=np.uint8).astype(float)
    return np.where(levels > 0, sent["top"] * 10.0 ** ((levels - 255.0) / 254.0 * sent["decades"]), 0.0)


@pytest.mark.parametrize("at", [1500, 900, 2100])  # on, and back
def test_the_map_is_the_one_at_each_close(film: Film, data: ff.Dataset, at: int) -> None:
    sent = film.window(at, at + 100, 1)["map"]
    assert sent["columns"] == 100
    assert unpacked(sent["start"], "<f4").tolist() == list(range(100))
    market = MarketPass(data)
    for column in (0, 57, 99):
        market.advance(at + column)
        live = market.map
        first = round(sent["log_low"] / live.bin_width + 0.5)
        bins = np.arange(first, first + sent["rows"] * sent["pool"])
        true = np.zeros((4, len(bins)))
        known = np.isin(bins, live.bins)
        true[:, known] = live.mass()[:, bins[known] - live.bins[0]]
        true = np.add.reduceat(true, np.arange(0, len(bins), sent["pool"]), axis=1) / live.open_interest
        clear = true > 1.05 * sent["top"] * 10.0 ** -sent["decades"]
        assert clear.sum() > 50
        np.testing.assert_allclose(masses(sent)[column][clear], true[clear], rtol=0.02)


def test_a_window_asked_again_is_the_same(film: Film) -> None:
    once = film.window(700, 1400, 2)
    film._seen.clear()
    assert film.window(700, 1400, 2) == once
    assert film.window(700, 1400, 2) is film.window(700, 1400, 2)


def test_candles_are_pooled_and_windows_stay_inside(film: Film, data: ff.Dataset) -> None:
    sent = film.window(701, 10**9, 50)
    assert sent["first"] == 700
    assert sent["bars"]["count"] == -(-(len(data.bars) - 700) // 50)
    high = unpacked(sent["bars"]["ohlc"], "<f4").reshape(4, -1)[1]
    assert high[0] == np.float32(data.bars.high[700:750].max())
    assert sent["map"]["columns"] <= 600
    assert film.window(0, 1, 1)["bars"]["count"] == 1


def test_what_happened_is_told_in_order(film: Film) -> None:
    told = film.window(1000, 2000, 1)["told"]
    bars = [row[0] for row in told]
    assert bars == sorted(bars)
    assert 1000 <= bars[0] < bars[-1] < 2000
    assert any("fuel" in words for _, _, words in told)


def test_nothing_is_told_of_events_after_the_window(film: Film) -> None:
    """Zones that a later event belongs to end with the window."""
    sent = film.window(1000, 1400, 1)
    assert unpacked(sent["zones"]["to"], "<f4").max() <= 400
    assert unpacked(sent["zones"]["known"], "<f4").max() < 400


def test_a_record_without_its_data_shows_its_own_pictures(run: Run, tmp_path: Path) -> None:
    film = Film.of_run(write(replace(run, config=run.config | {"dataset": "no-such"}), tmp_path / "run"))
    assert any("own steps" in note for note in film.notes)
    sent = film.window(1000, 1100, 1)
    start = unpacked(sent["map"]["start"], "<f4")
    assert start[0] <= 0 < start[1]  # the picture that stands when the window begins
    assert start[-1] < 100
    entries = unpacked(sent["trades"]["entry_candle"], "<f4")
    within = (run.trades["entry_bar"] < 1100) & (run.trades["exit_bar"] >= 1000)
    assert entries.tolist() == (run.trades["entry_bar"][within] - 1000).tolist()
    assert (
        sum(kind == "fill" for _, kind, _ in sent["told"])
        == ((run.fills["bar"] >= 1000) & (run.fills["bar"] < 1100)).sum()
    )


def test_a_record_with_its_data_moves_bar_by_bar(tmp_path: Path) -> None:
    folder = ff.save(ff.run("simulated", end="2025-01-08"), tmp_path / "run")
    film = Film.of_run(folder)
    assert not any("own steps" in note for note in film.notes)
    assert film.window(1000, 1200, 1)["map"]["columns"] == 200
    (folder / "run.json").write_text((folder / "run.json").read_text().replace('"data_hash": "', '"data_hash": "0'))
    assert any("changed" in note for note in Film.of_run(folder).notes)


def test_no_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a run folder"):
        Film.of_run(tmp_path)
