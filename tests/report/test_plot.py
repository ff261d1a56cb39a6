"""Pictures: that they are made, show the map, and say what they need."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    figure = plot.heatmap_png(run.snapshots, run.market_bars, tmp_path / "map.png", title="$x$ & <y>")
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
    drawn, plain = (painted(plot.heatmap_png(given, run.market_bars)) for given in (halved, run.snapshots))
    np.testing.assert_allclose(drawn[:, 0], 2.0 * plain[:, 0])
    np.testing.assert_allclose(drawn[:, -1], plain[:, -1])


def test_notes_are_written_below_the_picture_and_in_the_table(run: Run, tmp_path: Path) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    notes = ["the data is simulated", "a $1 note"]
    figure = plot.heatmap_png(run.snapshots, run.market_bars, tmp_path / "map.png", notes=iter(notes))
    assert figure.get_supxlabel() == "the data is simulated · a \\$1 note"
    plot.map_table(run.snapshots, tmp_path / "map.parquet", notes=iter(notes))
    assert json.loads(pq.read_schema(tmp_path / "map.parquet").metadata[b"notes"]) == notes


def test_a_map_without_mass_is_price_alone(run: Run) -> None:
    empty = replace(run.snapshots, mass=np.zeros_like(run.snapshots.mass))
    assert len(plot.heatmap_png(empty, run.market_bars).axes[0].collections) == 1


def test_a_run_shows_equity_zones_and_trades(run: Run, tmp_path: Path) -> None:
    from matplotlib.collections import PathCollection  # noqa: PLC0415  (an extra)

    upper, lower, _ = plot.run_figure(run, tmp_path / "run.png").axes  # the last is the colour bar
    assert upper.get_position().width == lower.get_position().width
    drawn: Any = lower.lines[0].get_ydata()
    assert drawn[-1] == run.equity["equity"][-1]
    marked: Any = [c.get_offsets() for c in upper.collections if isinstance(c, PathCollection)]
    assert sum(map(len, marked)) == 2 * len(run.trades["net"])


def test_a_page_is_saved_and_returned(run: Run, tmp_path: Path) -> None:
    page = plot.map_html(run.snapshots, run.market_bars, tmp_path / "map.html", title="btcusdt-5m")
    assert (tmp_path / "map.html").read_text(encoding="utf-8") == page


def test_missing_matplotlib_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match=r"forcedflow\[plot\]"):
        plot.heatmap_png(run.snapshots, run.market_bars)
