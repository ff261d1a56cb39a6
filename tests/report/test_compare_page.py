"""The page of a comparison: what it says, its figures, and how it behaves in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forcedflow as ff
from forcedflow.report.compare_figures import heatmap_figure, parallel_figure
from forcedflow.report.compare_page import compare_page
from forcedflow.report.curves import Curve, curves
from forcedflow.report.svg import months, round_steps
from report.browser import FAINT, OVERLAPS, Opened, legible

HOSTILE = '"><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
SPAN: dict[str, Any] = {"end": "2025-02-04"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A sweep, a walk-forward and two runs, as plain values."""
    folder = tmp_path_factory.mktemp("compared")
    ff.sweep(grid={"stop_atr": "0.5:2:4", "depth": "0:0.75:4", "mode": "absorb,ride"}, out=folder / "sweep", **SPAN)
    ff.sweep(grid={"stop_atr": "0.5:2:4"}, walk_forward={"train": "10d", "test": "8d"}, out=folder / "walk", **SPAN)
    for mode in ("absorb", "ride"):
        ff.save(ff.run(params={"mode": mode}, **SPAN), folder / mode)
    found = ff.compare([folder / name for name in ("sweep", "walk", "absorb", "ride")])
    plain: dict[str, Any] = json.loads(json.dumps(found.plain(), allow_nan=False))
    assert found.page(folder / "page.html") == (folder / "page.html").read_text(encoding="utf-8")
    return plain


@pytest.fixture(scope="module")
def page(told: dict[str, Any]) -> str:
    return compare_page(told)


@pytest.fixture
def opened(page: str, browser: Any, tmp_path: Path) -> Opened:
    return shown(browser, page, tmp_path)


def shown(browser: Any, html: str, folder: Path, scheme: str = "dark") -> Opened:
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    return Opened(browser, file.as_uri(), scheme)


def test_every_best_stands_beside_what_to_believe(told: dict[str, Any], page: str) -> None:
    (reading,) = told["readings"]
    belief = page.split('aria-label="How much to believe"')[1].split("</section>", maxsplit=1)[0]
    assert belief.index("Best plateau") < belief.index("Best point") < belief.index("PBO")
    assert belief.count(">PSR<") == belief.count(">Deflated (DSR)<") == 2
    assert f"Of {reading['best']['belief']['trials']} settings tried" in belief
    for choice in (reading["best"], reading["plateau"]):
        assert f"{choice['card']['total_return']:+.2%}".replace("-", "−") in belief
    table = page.split("Side by side")[1].split("</section>", maxsplit=1)[0]
    assert table.count("<tr>") == 1 + len(told["table"]) == 6


def test_nothing_is_loaded_and_every_figure_is_described(page: str) -> None:
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert "@import" not in page
    assert page.count('role="img"') == page.count('role="img" aria-label="') >= 8
    assert "None" not in page
    assert not re.search(r"\bnan\b", page)


def test_heatmaps_mark_plateau_and_best(told: dict[str, Any]) -> None:
    (reading,) = told["readings"]
    for picture in reading["heatmaps"]:
        drawn = heatmap_figure(picture, "sharpe")
        cells = len(picture["xs"]) * len(picture["ys"])
        assert drawn.count("<title>") == cells
        assert drawn.count('stroke="var(--card)" stroke-width="1.5"') == 2
        row, column = picture["plateau"]
        assert picture["ys"][row] == reading["plateau"]["point"][picture["y"]]
        assert picture["xs"][column] == reading["plateau"]["point"][picture["x"]]
        assert picture["plateau"] in picture["around"]


def test_less_is_darker_where_less_is_better() -> None:
    picture = {"x": "a", "y": "b", "xs": [1, 2], "ys": [1], "scores": [[0.1, None]], "best": [0, 0]}
    picture |= {"plateau": [0, 0], "around": [[0, 0]]}
    assert "a 2, b 1: –" in heatmap_figure(picture, "sharpe")
    picture["scores"] = [[0.1, 0.3]]
    strengths = {
        score: [int(n) for n in re.findall(r"var\(--accent\) (\d+)%", heatmap_figure(picture, score))]
        for score in ("max_drawdown", "-max_drawdown")
    }
    assert strengths == {"max_drawdown": [2, 48], "-max_drawdown": [48, 2]}


def test_all_lines_run_from_the_first_axis_to_the_score(told: dict[str, Any]) -> None:
    drawn = told["readings"][0]["portrait"]
    figure = parallel_figure(drawn, "sharpe", drawn["settings"][0], None)
    points = re.findall(r'data-setting="(\d+)" points="([^"]*)"', figure)
    assert sorted(int(n) for n, _ in points) == sorted(drawn["settings"])
    assert {len(line.split()) for _, line in points} == {1 + len(drawn["scales"])}
    heights = {int(n): float(line.split()[-1].split(",")[1]) for n, line in points}
    best = drawn["settings"][int(np.argmax(drawn["scores"]))]
    assert heights[best] == min(heights.values())  # downwards on a screen


def test_names_at_the_ends_of_curves_do_not_overlap() -> None:
    times = np.arange(10.0) * 86_400
    drawn = [Curve(times=times, values=np.full(10, 1.0 + k / 1e4), name=f"run {k}") for k in range(12)]
    at = [float(y) for y in re.findall(r'y="([\d.]+)" fill="var\(--muted\)" font-weight', curves("runs", drawn))]
    assert len(at) == 12
    assert (np.diff(at) >= 12.9).all()
    assert max(at) < 300.0
    assert "Nothing to draw" in curves("none", [])


@pytest.mark.parametrize("low", [-0.5, 0.0, 3.0, 1e6])
@pytest.mark.parametrize("span", [1e-6, 0.3, 7.0, 1e5])
def test_axes_have_round_numbers(low: float, span: float) -> None:
    steps = round_steps(low, low + span)
    assert 2 <= len(steps) <= 5
    assert all(low - 1e-6 * span <= step <= low + span * (1 + 1e-6) for step in steps)
    assert np.allclose(np.diff(steps), np.diff(steps)[0], rtol=1e-3)


def test_axes_of_time_have_few_dates() -> None:
    for days in (0.5, 3, 30, 365, 4000):
        assert len(months(1_735_689_600.0, 1_735_689_600.0 + days * 86_400)) <= 9
    assert months(1_735_689_600.0, 1_735_689_600.0 + 3 * 86_400)[0][1] == "1 Jan"


def test_hostile_names_are_text(told: dict[str, Any], browser: Any, tmp_path: Path) -> None:
    text = json.dumps(told)
    for name in ("zone_entry", "stop_atr", "simulated", "absorb", "rolling"):
        text = text.replace(f'"{name}"', json.dumps(name + HOSTILE))
    hostile = json.loads(text)
    for reading in (*hostile["readings"], *hostile["walks"]):
        reading["score"] += HOSTILE
    hostile["failures"] = [HOSTILE]
    html = compare_page(hostile)
    assert "<script>window.hacked" not in html
    assert "<img" not in html
    opened = shown(browser, html, tmp_path)
    assert opened.ask("window.hacked") is None
    assert opened.troubles == []


def test_it_opens_silently_and_offline(opened: Opened) -> None:
    assert opened.troubles == []
    assert [url for url in opened.requests if not url.startswith("file:")] == []
    assert opened.page.title() == "1 sweep, 1 walk-forward and 2 runs on simulated: comparison"
    for width in (1280, 1920, 480):
        opened.page.set_viewport_size({"width": width, "height": 900})
        assert opened.ask("document.documentElement.scrollWidth <= innerWidth")


def test_a_row_focused_is_lit_in_the_figures(opened: Opened) -> None:
    rows = opened.page.locator("tr[data-setting]")
    lit = "[...document.querySelectorAll('.lit')].map((mark) => [mark.tagName, mark.dataset.setting])"
    rows.first.focus()
    opened.page.keyboard.press("ArrowDown")
    second = rows.nth(1).get_attribute("data-setting")
    assert sorted(map(tuple, opened.ask(lit))) == [("TR", second), ("polyline", second), ("polyline", second)]
    opened.page.keyboard.press("Escape")
    assert opened.ask(lit) == []
    rows.nth(2).hover()
    assert len(opened.ask(lit)) == 3


def test_dark_light_and_paper(page: str, browser: Any, tmp_path: Path) -> None:
    opened = shown(browser, page, tmp_path, "light")
    theme = "document.documentElement.dataset.theme"
    assert opened.ask(theme) == "light"
    opened.page.get_by_role("button", name="Switch between dark and light").press("Enter")
    assert opened.ask(theme) == "dark"
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.ask(theme) == "light"
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.ask(theme) == "dark"
    assert opened.page.pdf().startswith(b"%PDF")


def test_a_sweep_in_which_nothing_traded_and_runs_alone(told: dict[str, Any]) -> None:
    nothing = told["readings"][0] | {"best": None, "plateau": None, "portrait": None}
    page = compare_page(told | {"readings": [nothing], "walks": [], "runs": [], "table": []})
    assert "No setting has a sharpe" in page
    alone = compare_page(told | {"readings": [], "walks": []})
    assert alone.startswith("<!doctype html>")
    assert "2 runs" in alone


def test_it_is_legible_at_two_widths_in_both_themes(opened: Opened) -> None:
    legible(opened)
    opened.page.evaluate(
        "(([one, other]) => one.after(other.cloneNode(true), other))(document.querySelectorAll('text'))"
    )
    opened.page.evaluate("document.querySelector('svg text').style.fill = 'var(--card)'")
    assert opened.ask(OVERLAPS)
    assert opened.ask(FAINT)


def test_labels_of_an_axis_keep_apart() -> None:
    scales = [{"name": "a", "ticks": [k / 1000 for k in range(40)], "places": [(k / 40) ** 3 for k in range(40)]}]
    drawn = {"scales": scales, "scores": [0.1, 7.3], "settings": [0, 1], "points": [{"a": 0.0}, {"a": 0.039}]}
    figure = parallel_figure(drawn | {"places": [[0.0], [1.0]]}, "sharpe", 1, None)
    plates = [(float(x), float(y)) for x, y in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', figure)]
    for at in {x for x, _ in plates}:
        heights = sorted(y for x, y in plates if x == at)
        assert len(heights) >= 3
        assert (np.diff(heights) >= 15.0).all()
