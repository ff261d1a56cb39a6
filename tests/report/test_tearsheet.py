"""The page: its text here, its charts in a real browser."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forcedflow as ff
from forcedflow.record import Run
from forcedflow.report import payload
from forcedflow.report.tearsheet import map_page, tearsheet
from forcedflow.report.words import contribution, summary_rows, verdict
from forcedflow.tables import EventKind
from report.browser import PIXELS, Opened, legible
from report.synthetic import WIDTH

HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1"><!--'


def unpacked(text: str, dtype: str) -> Any:
    return np.frombuffer(zlib.decompress(base64.b64decode(text), wbits=-15), dtype=dtype)


def contrast(low: float, high: float) -> dict[str, Any]:
    return {"n": 9, "mean": (low + high) / 2, "low": low, "high": high, "unit": "ATR", "note": ""}


# What is sent to the page


def test_candles_keep_every_high_and_low(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "_CANDLES", 700)
    sent = payload.bars_payload(run.market_bars)
    opened, high, low, close = unpacked(sent["ohlc"], "<f4").reshape(4, -1)
    step = sent["step"]
    assert (step, sent["count"]) == (5, 600)
    for k in (0, 77, 599):
        bars = slice(k * step, (k + 1) * step)
        assert high[k] == np.float32(run.market_bars["high"][bars].max())
        assert low[k] == np.float32(run.market_bars["low"][bars].min())
        assert opened[k] == np.float32(run.market_bars["open"][bars][0])
        assert close[k] == np.float32(run.market_bars["close"][bars][-1])


def test_the_map_survives_its_packing(run: Run) -> None:
    growing = replace(run.snapshots, oi=run.snapshots.oi * np.linspace(0.7, 1.0, len(run.snapshots.oi)))
    sent = payload.map_payload(growing, run.market_bars, 1)
    assert sent is not None
    shape = (sent["columns"], 4, sent["rows"])
    levels = np.cumsum(unpacked(sent["levels"], "u1").reshape(shape), axis=0, dtype=np.uint8).astype(float)
    share = np.where(levels > 0, sent["top"] * 10.0 ** ((levels - 255.0) / 254.0 * sent["decades"]), 0.0)
    oi = unpacked(sent["oi"], "<f4")[:, np.newaxis, np.newaxis]
    first = round(sent["log_low"] / run.snapshots.bin_width + 0.5) - run.snapshots.bins[0]
    true = run.snapshots.mass[:, :, first : first + shape[2]].astype(float)
    shown = true / oi > 1.02 * sent["top"] * 10.0 ** -sent["decades"]
    assert shown.sum() > 10_000
    assert np.abs((share * oi)[shown] / true[shown] - 1.0).max() < 0.015
    assert share[true == 0.0].max() == 0.0
    assert unpacked(sent["time"], "<u4")[-1] == run.snapshots.ts[-1] // 1_000_000_000
    assert unpacked(sent["start"], "<f4")[0] == run.snapshots.bar[0] + 1  # drawn under the bar after


def test_pooled_rows_keep_the_mass(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "_ROWS", 50)
    sent = payload.map_payload(run.snapshots, run.market_bars, 1)
    assert sent is not None
    assert sent["rows"] <= 50
    levels = np.cumsum(unpacked(sent["levels"], "u1").reshape(-1, 4, sent["rows"]), axis=0, dtype=np.uint8)[-1]
    share = np.where(levels > 0, sent["top"] * 10.0 ** ((levels - 255.0) / 254.0 * sent["decades"]), 0.0).sum()
    rows = payload._visible_rows(run.snapshots, run.market_bars)
    assert sent["log_step"] == pytest.approx(sent["pool"] * run.snapshots.bin_width)
    assert share * run.snapshots.oi[-1] == pytest.approx(run.snapshots.mass[-1][:, rows].sum(), rel=0.02)


def test_where_no_open_interest_is_known_nothing_is_drawn(run: Run) -> None:
    unknown = replace(run.snapshots, oi=np.append(np.zeros(len(run.snapshots.oi) - 1), run.snapshots.oi[-1]))
    density = payload.shares(unknown, slice(None), slice(None))
    assert not density[:-1].any()
    np.testing.assert_allclose(density[-1] * unknown.oi[-1], unknown.mass[-1], rtol=1e-6)


def test_an_empty_map_is_no_map(run: Run) -> None:
    empty = replace(run.snapshots, mass=np.zeros_like(run.snapshots.mass))
    assert payload.map_payload(empty, run.market_bars, 1) is None


def test_zones_span_notice_to_last_event(run: Run) -> None:
    sent = payload.zones_payload(run.events, 1)
    first = run.events[run.events.group == 1]
    assert unpacked(sent["from"], "<f4")[0] == first.bar[0] - first.age[0]
    assert unpacked(sent["to"], "<f4")[0] == first.bar[-1] + 1
    assert (unpacked(sent["low"], "<f4") < unpacked(sent["high"], "<f4")).all()


def test_channels_are_straight_stretches(run: Run) -> None:
    start, end = payload.channels(run.market_bars)
    version = run.market_bars["channel"]
    assert len(start) == len(np.unique(version[version > 0]))
    assert (end - start == 59).all()
    assert (version[start] == version[end]).all()
    sent = payload.channels_payload(run.market_bars, 1)
    assert unpacked(sent["upper_to"], "<f4")[0] == np.float32(run.market_bars["channel_upper"][end[0]])


def test_a_boundary_that_moves_begins_a_stretch() -> None:
    moved = {"channel": np.ones(9, dtype=np.int64), "channel_lower": np.full(9, 90.0)}
    moved["channel_upper"] = np.array([100.0] * 4 + [101.0] * 5)
    assert [rows.tolist() for rows in payload.channels(moved)] == [[0, 4], [3, 8]]


def test_voids_lie_ahead_of_price(run: Run) -> None:
    kind, group = run.events.kind.copy(), run.events.group.copy()
    kind[:3] = EventKind.VOID_ENTRY, EventKind.VOID_ENTRY, EventKind.VOID_EXHAUSTION
    group[:3] = 1, 2, 2
    events = run.events.replace(kind=kind, group=group, close=np.full(len(kind), 100.0), atr=np.full(len(kind), 0.01))
    sent = payload.voids_payload(events, 1, 6.0, 48)
    first, bar = unpacked(sent["from"], "<f4"), events.bar
    assert first.tolist() == (bar[:2] + 1).tolist()
    assert unpacked(sent["to"], "<f4").tolist() == [bar[0] + 49, bar[2] + 1]
    up = events.side[:2] > 0
    assert unpacked(sent["high"], "<f4") == pytest.approx(np.where(up, 100 * np.exp(0.06), 100.0))
    assert unpacked(sent["low"], "<f4") == pytest.approx(np.where(up, 100.0, 100 * np.exp(-0.06)))


def test_breaks_are_marked(run: Run) -> None:
    kind = run.events.kind.copy()
    kind[:3] = EventKind.CHANNEL_BREAK, EventKind.FAKE_OUT, EventKind.VOID_EXHAUSTION
    sent = payload.marks_payload(run.events.replace(kind=kind), 1)
    assert sent["titles"] == {5: "ChannelBreak", 6: "FakeOut", 8: "VoidExhaustion"}
    assert unpacked(sent["aligned"], "u1").tolist() == [1, 0, 0]  # a zone stands behind the break


# The text


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.1, 0.3, "Helped"), (-0.3, -0.1, "Hurt"), (-0.1, 0.3, "Can't tell"), (0, 0.2, "Can't")]
)
def test_verdicts(low: float, high: float, word: str) -> None:
    assert verdict("placement", contrast(low, high)).startswith(word)
    assert "9 signals, each traded alone" in verdict("placement", contrast(low, high))
    assert verdict("selection", None).startswith("Can't tell: there were too few trades")


def test_one_sentence_for_both_contrasts() -> None:
    better, worse, unsure = contrast(0.1, 0.3), contrast(-0.3, -0.1), contrast(-0.1, 0.3) | {"mde": 3.41}
    said: dict[str, dict[str, Any]] = {
        "The map helped by its stops and targets": {"placement": better, "selection": unsure},
        "The map hurt by its entries": {"placement": None, "selection": worse},
        "The map helped by its entries (+0.20 ATR a trade), and hurt by its stops": {
            "placement": worse,
            "selection": better,
        },
        "Can't tell whether the map helped": {"placement": unsure, "selection": unsure},
        "Can't tell what the map contributed": {"placement": None, "selection": None},
    }
    for words, blind in said.items():
        assert contribution(blind).startswith(words)
        assert ("effects under 3.4 ATR" in contribution(blind)) == (unsure in blind.values())


def test_a_verdict_that_cannot_tell_says_what_it_would_have_seen() -> None:
    least = "an effect under 3.4 ATR would not have been seen"
    assert least in verdict("placement", contrast(-0.1, 0.3) | {"mde": 3.41})
    assert "would not" not in verdict("placement", contrast(-0.1, 0.3))
    assert "would not" not in verdict("placement", contrast(0.1, 0.3) | {"mde": 3.41})


def test_the_quality_of_the_map_is_told(run: Run) -> None:
    known = replace(run, summary=run.summary | {"coverage_mean": 0.91, "reopened_share": 0.77, "ambiguous_bars": 1})
    page, rows = tearsheet(known), dict(summary_rows(known))
    assert '<span>OI located</span><b class="">91%</b>' in page
    assert '<span>Reopened</span><b class="">77%</b>' in page
    assert (rows["OI located"], rows["Reopened"][:3]) == ("91% of open interest", "77%")
    assert "Reopened" not in tearsheet(run)
    assert '<b class="">68%</b>' in tearsheet(run)


def test_the_page_is_whole_and_the_same_each_time(run: Run) -> None:
    page = tearsheet(run)
    assert page == tearsheet(run)
    assert "TradingView Lightweight Charts™ v5.1.0" in page  # the licence notice stays
    assert "Licensed under Apache License 2.0" in page
    assert len(page) < 3_000_000
    assert not re.search(r'(?:src|href)="(?!https://www\.tradingview\.com/")', page.split('<script type="app')[0])
    for warning in run.summary["warnings"]:
        assert page.index(warning) < page.index('class="tiles"')


def test_missing_values_and_contrasts_are_said(run: Run) -> None:
    bare = replace(run, scorecard=dict.fromkeys(run.scorecard), blind={"placement": None, "selection": None})
    page = tearsheet(bare)
    assert page.count("too few trades") == 3  # the lead says it, and each contrast
    assert "None" not in page.split('<script type="app')[0].split("<details>")[0]


def test_the_account_curves_stand_side_by_side(run: Run) -> None:
    page = tearsheet(run)
    contributed = page.split("<h2>What the map contributed</h2>")[1].split("</section>", maxsplit=1)[0]
    assert contributed.count('<svg class="figure"') == contributed.count("<polygon") == 2
    last = run.equity["equity"][-1] / 100_000 - 1
    median = run.blind_equity["placement"][-1] / 100_000 - 1
    said = [f"{value:+.1%}".replace("-", "−") for value in (last, median)]
    assert (
        f"Equity of the run, {said[0]} at the end, and of accounts blind in stops and targets: median {said[1]}" in page
    )
    sent = payload.blind_payload(run.blind_equity, run.equity, 5)
    drawn = unpacked(sent["blind_placement"], "<f4")
    assert len(drawn) == len(run.market_bars["ts"]) // 5
    ends = np.arange(4, len(run.market_bars["ts"]), 5)  # each candle's last bar
    expected = np.interp(ends, run.blind_equity["bar"], run.blind_equity["placement"])
    np.testing.assert_array_equal(drawn, expected.astype(np.float32))
    gone = {name: np.full(len(column), np.nan) for name, column in run.blind_equity.items()}
    assert payload.blind_payload(gone, run.equity, 5) == {}


def test_hostile_names_are_text(run: Run) -> None:
    hostile = replace(
        run,
        config=run.config | {"strategy": HOSTILE, "dataset": HOSTILE, "params": {HOSTILE: HOSTILE}},
        summary=run.summary | {"warnings": [HOSTILE]},
        blind={"placement": contrast(0, 1) | {"unit": HOSTILE, "note": HOSTILE}},
        trades=run.trades | {"exit_reason": np.full(len(run.trades["net"]), HOSTILE)},
    )
    page = tearsheet(hostile)
    assert "<script>window.hacked" not in page
    assert "<img" not in page
    json.loads(page.split('id="payload">')[1].split("</script>")[0])


# The browser


@pytest.fixture(scope="module")
def opened(run: Run, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return shown(browser, tearsheet(run), tmp_path_factory.mktemp("page"))


def shown(browser: Any, html: str, folder: Path, scheme: str = "dark") -> Opened:
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    return Opened(browser, file.as_uri(), scheme)


def test_it_opens_silently_and_offline(opened: Opened) -> None:
    assert opened.troubles == []
    assert [url for url in opened.requests if not url.startswith("file:")] == []
    assert opened.ask("forcedflow.version") == "5.1.0"
    assert opened.page.title() == "zone_entry on btcusdt-5m: tearsheet"
    assert opened.page.locator("#tv-attr-logo").count() == 1  # the attribution stays


def test_blind_medians_are_drawn_with_the_equity(opened: Opened) -> None:
    assert opened.ask("forcedflow.stage.blind") == ["blind_placement", "blind_selection"]
    assert "dotted: blind in stops and targets" in opened.page.locator(".pane-name").first.inner_text()
    assert opened.ask("forcedflow.stage.series.blind_selection.data().length") > 100


def test_the_map_is_painted(opened: Opened) -> None:
    assert opened.ask("forcedflow.stage.frames") > 0
    assert opened.ask(PIXELS) > 60  # a chart without a map has a dozen colours


def test_a_trade_moves_the_chart(opened: Opened, run: Run) -> None:
    opened.page.locator("#trade-rows tr").nth(20).click()
    seen = opened.ask("forcedflow.range()")
    entry, left = run.trades["entry_bar"][20], run.trades["exit_bar"][20]
    assert seen["from"] < entry < left < seen["to"] < entry + 400
    opened.page.get_by_role("button", name="All").click()
    assert opened.ask("forcedflow.range()")["to"] > len(run.market_bars["ts"]) - 1
    opened.page.locator("#chart").press("+")
    assert opened.ask("forcedflow.range()")["from"] > 100


def test_the_crosshair_tells_the_mass(opened: Opened) -> None:
    box = opened.page.locator("#chart").bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 80)
    opened.page.wait_for_selector("#tip:not([hidden])")
    told = opened.page.locator("#tip").inner_text()
    assert "price" in told
    assert "share of open interest" in told
    assert "as of" in told
    assert "short liquidations" in told
    assert "mean age" in told
    assert re.search(r"entered, about\s+\d+% · 2025-05-\d\d, ~\d+×", told)


def test_the_legend_has_a_unit(opened: Opened) -> None:
    assert opened.page.locator("#scale-unit").inner_text() == "of open interest per 10 bps bin"
    ends = [float(text.rstrip("%")) for text in opened.page.locator("#scale-ends span").all_inner_texts()]
    assert ends == sorted(ends)
    assert ends[0] == pytest.approx(ends[2] / 10**1.6, rel=0.05)


def test_cells_that_price_has_reached_are_gone(opened: Opened, run: Run) -> None:
    """Within a column the rows reached widen from candle to candle, and begin anew with the next snapshot."""
    reached = opened.ask(
        """(({ heatmap }) => [1004, 1005, 1006, 1007, 1008].map((i) =>
        [heatmap.rowPrice(heatmap.lowest[i]), heatmap.rowPrice(heatmap.highest[i] + 1)]))(forcedflow.stage)"""
    )
    bars, width = run.market_bars, WIDTH
    assert run.snapshots.bar[250] == 1003
    for (low, high), candles in zip(
        reached, [(1004, 1005), (1004, 1006), (1004, 1007), (1004, 1008), (1008, 1009)], strict=True
    ):
        met = slice(*candles)
        assert low <= bars["low"][met].min() < low * np.exp(1.01 * width)
        assert high * np.exp(-1.01 * width) < bars["high"][met].max() <= high


def test_price_and_cells_share_a_logarithmic_axis(opened: Opened) -> None:
    even = """(({ heatmap, candles }) => [0, 100, 200, 300].map((row) =>
        candles.priceToCoordinate(heatmap.rowPrice(row))))(forcedflow.stage)"""
    at = opened.ask(even)
    assert np.diff(at) == pytest.approx([at[1] - at[0]] * 3, abs=0.5)


def test_layers_can_be_hidden(opened: Opened) -> None:
    before = opened.ask(PIXELS)
    for name in ("Liquidations", "Stops"):
        opened.page.get_by_role("button", name=name).click()
    assert opened.ask(PIXELS) < before
    for name in ("Liquidations", "Stops"):
        opened.page.get_by_role("button", name=name).click()


def test_dark_and_light(opened: Opened) -> None:
    page = "getComputedStyle(document.body).backgroundColor"
    dark = opened.ask(page)
    opened.page.get_by_role("button", name="Switch between dark and light").click()
    assert opened.ask("document.documentElement.dataset.theme") == "light"
    assert opened.ask(page) != dark
    assert opened.troubles == []


def test_printing_shows_a_light_picture_and_restores_the_page(run: Run, browser: Any, tmp_path: Path) -> None:
    opened = shown(browser, tearsheet(run), tmp_path)
    page = opened.page
    assert page.pdf().startswith(b"%PDF")
    assert opened.ask("document.getElementById('printed').width") > 600  # the print drew it
    assert opened.ask("document.documentElement.dataset.theme") == "dark"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert opened.ask("document.documentElement.dataset.theme") == "light"
    assert opened.ask(PIXELS.replace("#chart canvas", "#printed")) > 60
    assert not page.locator("#chart, #profile, #tip, .pane-name").locator("visible=true").count()
    picture, table = (page.locator(name).bounding_box() for name in ("#printed", "table.data"))
    assert picture["x"] + picture["width"] <= 1280
    assert picture["y"] + picture["height"] < table["y"]
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.ask("document.documentElement.dataset.theme") == "dark"
    assert page.locator("#chart").is_visible()
    assert not page.locator("#printed").is_visible()
    assert opened.troubles == []


def test_a_narrow_page_keeps_its_labels_inside(run: Run, browser: Any, tmp_path: Path) -> None:
    page = shown(browser, tearsheet(run), tmp_path)
    page.page.set_viewport_size({"width": 480, "height": 900})
    plot = page.ask("forcedflow.stage.scale.width()")
    page.page.locator("#chart").scroll_into_view_if_needed()
    box = page.page.locator("#chart").bounding_box()
    for share in (0.1, 0.5, 0.95):
        page.page.mouse.move(box["x"] + plot * share, box["y"] + 120)
        page.page.wait_for_selector("#tip:not([hidden])")
        for name in ("#tip", "#readout"):
            inside = page.page.locator(name).bounding_box()
            assert box["x"] <= inside["x"] < inside["x"] + inside["width"] <= box["x"] + plot + 1


def test_the_readers_own_scheme_and_hostile_names(run: Run, browser: Any, tmp_path: Path) -> None:
    hostile = replace(run, config=run.config | {"strategy": HOSTILE, "dataset": HOSTILE})
    page = shown(browser, tearsheet(hostile), tmp_path, "light")
    assert page.ask("document.documentElement.dataset.theme") == "light"
    assert page.ask("window.hacked") is None
    assert HOSTILE in page.page.locator("h1").inner_text()
    assert page.troubles == []


def test_a_run_in_which_nothing_happened(run: Run, browser: Any, tmp_path: Path) -> None:
    quiet = replace(
        run,
        trades={name: column[:0] for name, column in run.trades.items()},
        events=run.events[:0],
        snapshots=replace(run.snapshots, mass=np.zeros_like(run.snapshots.mass)),
        blind={"placement": None, "selection": None},
    )
    page = shown(browser, tearsheet(quiet), tmp_path)
    assert page.troubles == []
    assert page.page.get_by_role("button", name="Zones").count() == 0
    assert page.page.get_by_text("There were no trades.").is_visible()


def test_a_map_alone(run: Run, browser: Any, tmp_path: Path) -> None:
    page = shown(browser, map_page(run.snapshots, run.market_bars, "a map", ["simulated"]), tmp_path)
    assert page.troubles == []
    assert page.ask(PIXELS) > 60
    assert page.page.locator("#trade-rows").count() == 0


def test_a_streamed_run(browser: Any, tmp_path: Path) -> None:
    """Nothing is missed where map, zones and channels are not drawn."""
    ff.run_streamed({"dataset": "simulated"}, tmp_path / "run", chunk=6000)
    page = shown(browser, (tmp_path / "run" / "tearsheet.html").read_text(encoding="utf-8"), tmp_path)
    assert page.troubles == []
    assert page.page.get_by_role("button", name="Zones").count() == 0
    page.page.locator("#trade-rows tr").first.click()
    assert page.ask("forcedflow.stage.chosen") == 0
    page.page.mouse.move(600, 400)
    assert page.troubles == []


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of ``#rrggbb``."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_contrast_in_both_themes(run: Run) -> None:
    style = tearsheet(run).split("<style>")[1].split("</style>")[0]
    blocks = re.findall(r":root[^{]*{(.*?)}", style, re.DOTALL)
    themes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]
    assert len(themes) == 2
    for theme in (themes[0], themes[0] | themes[1]):
        for text in ("text", "muted", "good", "bad", "accent"):
            for ground in ("page", "card", "stage", "faint", "warn-page"):
                light, dark = sorted((luminance(theme[text]), luminance(theme[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_a_zone_hovered_tells_its_numbers(opened: Opened, run: Run) -> None:
    at = opened.ask("""(({ scene, scale, candles }) => { const z = scene.zones, k = 3;
        return [scale.logicalToCoordinate((z.from[k] + z.to[k]) / 2),
          candles.priceToCoordinate((z.low[k] + z.high[k]) / 2)];
        })(forcedflow.stage)""")
    box = opened.page.locator("#chart").bounding_box()
    opened.page.mouse.move(box["x"] + at[0], box["y"] + at[1])
    opened.page.wait_for_selector("#tip:not([hidden]) tr.section")
    told = opened.page.locator("#tip").inner_text()
    assert "mass when noticed" in told
    assert "2% of open interest" in told
    assert "fuel" in told
    assert "age" in told


def test_keys_lead_from_trade_to_trade_and_a_point_to_its_own(opened: Opened) -> None:
    page = opened.page
    page.evaluate("forcedflow.jump(0)")
    for key, row in (("n", 1), ("n", 2), ("p", 1)):
        page.locator("#chart").press(key)
        assert page.locator("#trade-rows tr.chosen td").first.inner_text() == str(row + 1)
    page.locator('circle[data-trade="7"]').dispatch_event("click")
    assert opened.ask("forcedflow.stage.chosen") == 7
    page.locator("#chart").press("Home")
    assert opened.troubles == []


def test_many_trades_are_listed_a_page_at_a_time(run: Run, browser: Any, tmp_path: Path) -> None:
    many = {name: np.repeat(column, 12) for name, column in run.trades.items()}
    page = shown(browser, tearsheet(replace(run, trades=many)), tmp_path)
    assert page.page.locator("#trade-rows tr").count() == 200
    page.page.get_by_role("button", name="Later").click()
    assert page.page.locator("#trade-rows td").first.inner_text() == "201"
    assert page.page.get_by_role("button", name="Earlier").is_enabled()
    assert page.troubles == []


def test_it_is_legible_at_two_widths_in_both_themes(run: Run, browser: Any, tmp_path: Path) -> None:
    legible(shown(browser, tearsheet(run), tmp_path))
