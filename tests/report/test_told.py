"""Results as they show themselves: as text, as rich renders them, as HTML."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import forcedflow as ff
from conftest import skip
from forcedflow.errors import SettingsError
from forcedflow.record import Run
from forcedflow.report import plot
from forcedflow.report.compare_figures import outline
from forcedflow.report.told import Block, Told

HOSTILE = "<script>[red]x"


@pytest.fixture(scope="module")
def swept() -> ff.Sweep:
    return ff.sweep(grid={"stop_atr": "0.5:2:4", "depth": "0:0.75:4"}, end="2025-02-04")


class Hostile(Told):
    def blocks(self) -> list[Block]:
        return [Block(("! " + HOSTILE,), ("a", HOSTILE), (("1", HOSTILE),))]


def test_names_are_text_everywhere() -> None:
    html = Hostile()._repr_html_()
    assert "<script>" not in html
    assert html.count("&lt;script&gt;[red]x") == 3
    assert str(Hostile()).count(HOSTILE) == repr(Hostile()).count(HOSTILE) == 3


def test_a_sweep_and_a_comparison_show_themselves(swept: ff.Sweep, tmp_path: Path) -> None:
    best = swept.best()
    for shown in (str(swept), swept._repr_html_()):
        assert "16 settings, by sharpe" in shown
        assert f"PSR {best.belief.psr:.1%}" in shown
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(swept)
    assert console.export_text() == str(swept)
    ff.save(ff.run(end="2025-01-10"), tmp_path / "run")
    found = ff.compare(tmp_path / "run")
    assert "<td>run</td>" in found._repr_html_()
    assert "settings tried on simulated so far" in str(found)


def test_a_finding_shows_itself() -> None:
    if importlib.util.find_spec("scipy") is None:
        skip("scipy is not installed")
    (found,) = ff.evidence("simulated", ["magnet"], nulls=["distance_only"])
    (test,) = found.tests
    assert test.estimate is not None
    for shown in (str(found), found._repr_html_()):
        assert "distance_only" in shown
        assert f"{test.estimate.effect:+.3g}" in shown
        assert all(caveat.split()[0] in shown for caveat in found.caveats)


def test_a_run_is_one_line(run: Run) -> None:
    assert repr(run).startswith(f"<Run of {run.config['strategy']} on {run.config['dataset']}: 3,000 bars")
    assert len(repr(run)) < 200


def test_a_sweep_is_drawn_with_its_plateau(swept: ff.Sweep, tmp_path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        skip("matplotlib is not installed: uv sync --group check")
    (reading,) = swept.readings()
    (picture,) = reading.heatmaps
    figure = swept.plot(tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    heat, shares = figure.axes
    mesh: Any = heat.collections[0]
    frame: Any = heat.collections[1]
    np.testing.assert_allclose(np.ma.getdata(mesh.get_array()), picture.scores)
    assert len(frame.get_segments()) == len(outline(set(picture.around)))
    marks = {line.get_label(): (int(line.get_ydata()[0]), int(line.get_xdata()[0])) for line in _lines(heat)}
    assert marks == {"plateau": picture.plateau, "best": picture.best}
    widths = {bar.get_width() for bar in _patches(shares)}
    assert {each.main for each in reading.sensitivity} <= widths
    swept.plot(tmp_path / "sweep.svg", "-max_drawdown")
    assert "<svg" in (tmp_path / "sweep.svg").read_text(encoding="utf-8")


def _lines(axes: Any) -> list[Any]:
    return list(axes.lines)


def _patches(axes: Any) -> list[Any]:
    return list(axes.patches)


def test_one_parameter_is_a_curve_and_nothing_is_said_to_be_nothing(swept: ff.Sweep) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        skip("matplotlib is not installed: uv sync --group check")
    one = ff.sweep(grid={"stop_atr": "0.5:2:4"}, end="2025-02-04")
    (reading,) = one.readings()
    drawn: Any = one.plot().axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, reading.sensitivity[0].means)
    with pytest.raises(SettingsError, match="nothing to draw"):
        plot.sweep([])
    with pytest.raises(SettingsError, match="nothing to draw"):
        swept.plot(score="luck")


def test_the_outline_of_cells() -> None:
    assert len(outline({(0, 0)})) == 4
    assert len(outline({(0, 0), (0, 1)})) == 6
    assert ((1, 0), (1, 1)) not in outline({(0, 0), (0, 1)})  # the side they share


def test_a_missing_extra_is_named(swept: ff.Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match=r"a picture takes matplotlib.*pip install 'forcedflow\[plot\]'"):
        swept.plot()
