"""Pictures: that they are made, show the map, and say what they need."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from conftest import skip
from forcedflow.errors import SettingsError
from forcedflow.record import Run
from forcedflow.report import plot


@pytest.fixture(autouse=True)
def _matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        skip("matplotlib is not installed: uv sync --group check")


def test_a_heatmap_is_saved_and_returned(run: Run, tmp_path: Path) -> None:
    figure = plot.heatmap(run.snapshots, run.market_bars, tmp_path / "map.png", title="$x$ & <y>")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    mesh = figure.axes[0].collections[0]
    values: Any = mesh.get_array()
    assert 0.05 < (~np.ma.getmaskarray(values)).mean() < 0.95
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[1].get_ylabel() == "% of open interest per 10 bps bin"


def painted(figure: Any) -> Any:
    """What the cells of the map hold, those too faint for a colour too."""
    return np.ma.getdata(figure.axes[0].collections[0].get_array())


def test_colours_are_shares_of_each_snapshots_open_interest(run: Run) -> None:
    halved = replace(run.snapshots, oi=run.snapshots.oi * np.linspace(0.5, 1.0, len(run.snapshots.oi)))
    drawn, plain = (painted(plot.heatmap(given, run.market_bars)) for given in (halved, run.snapshots))
    np.testing.assert_allclose(drawn[:, 0], 2.0 * plain[:, 0])
    np.testing.assert_allclose(drawn[:, -1], plain[:, -1])


def test_notes_are_written_below_the_picture_and_in_the_table(run: Run, tmp_path: Path) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    notes = ["the data is simulated", "a $1 note"]
    figure = plot.heatmap(run.snapshots, run.market_bars, tmp_path / "map.png", notes=iter(notes))
    assert figure.get_supxlabel() == "the data is simulated · a \\$1 note"
    plot.map_table(run.snapshots, tmp_path / "map.parquet", notes=iter(notes))
    assert json.loads(pq.read_schema(tmp_path / "map.parquet").metadata[b"notes"]) == notes


def test_a_map_without_mass_is_price_alone(run: Run) -> None:
    empty = replace(run.snapshots, mass=np.zeros_like(run.snapshots.mass))
    assert len(plot.heatmap(empty, run.market_bars).axes[0].collections) == 1


def test_a_run_shows_equity_zones_and_trades(run: Run, tmp_path: Path) -> None:
    from matplotlib.collections import PathCollection  # noqa: PLC0415  (an extra)

    upper, lower, _ = plot.run(run, tmp_path / "run.png").axes  # the last is the colour bar
    assert upper.get_position().width == lower.get_position().width
    drawn: Any = lower.lines[0].get_ydata()
    assert drawn[-1] == run.equity["equity"][-1]
    marked: Any = [c.get_offsets() for c in upper.collections if isinstance(c, PathCollection)]
    assert sum(map(len, marked)) == 2 * len(run.trades["net"])


def test_a_page_is_saved_and_returned(run: Run, tmp_path: Path) -> None:
    page = plot.map_html(run.snapshots, run.market_bars, tmp_path / "map.html", title="btcusdt-5m")
    assert (tmp_path / "map.html").read_text(encoding="utf-8") == page


def test_colours_are_the_tearsheets(run: Run) -> None:
    """A typical cell is dark, the brightest one is bright, and the scale tells shares."""
    figure = plot.heatmap(run.snapshots, run.market_bars)
    mesh: Any = figure.axes[0].collections[0]
    shares = np.ma.compressed(mesh.get_array())[::50]
    assert np.median(np.asarray(mesh.norm(shares))) == pytest.approx(0.34, abs=0.05)
    assert mesh.norm(mesh.norm.vmax) == pytest.approx(1.0)
    np.testing.assert_allclose(np.asarray(mesh.norm.inverse(mesh.norm(shares))), shares, rtol=1e-6)


def test_trades_are_counted_and_shown(run: Run, tmp_path: Path) -> None:
    left, right = plot.trades(run, tmp_path / "trades.svg").axes
    heights = [cast("Any", patch).get_height() for patch in left.patches]
    assert sum(heights) == len(run.trades["r"])
    points: Any = right.collections[0].get_offsets()
    assert points[:, 1].tolist() == run.trades["mfe_r"].tolist()
    assert "<svg" in (tmp_path / "trades.svg").read_text(encoding="utf-8")
    none = {name: column[:0] for name, column in run.trades.items()}
    assert plot.trades(replace(run, trades=none)).axes


def test_plotly_gets_a_map_candles_and_entries(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("plotly") is None:
        skip("plotly is not installed: uv sync --group check")
    figure = plot.interactive(run, columns=300)
    heat, candles, longs, shorts = figure.data
    assert heat.z.shape[1] <= 300
    assert np.nanmax(heat.z) >= 1.0
    assert len(candles.open) == 300
    assert max(candles.high) == run.market_bars["high"].max()
    assert len(longs.x) + len(shorts.x) == len(run.trades["side"])
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(SettingsError, match=r"forcedflow\[plot\]"):
        plot.interactive(run)


def test_missing_matplotlib_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match=r"forcedflow\[plot\]"):
        plot.heatmap(run.snapshots, run.market_bars)
    with pytest.raises(SettingsError, match=r"forcedflow\[plot\]"):
        plot.trades(run)
