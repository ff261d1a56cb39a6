"""The watch page in a real browser, and whom its server refuses."""

from __future__ import annotations

import http.client
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import forcedflow as ff
from conftest import skip
from forcedflow.errors import SettingsError
from forcedflow.report import watch
from forcedflow.report.film import Film
from report.browser import PIXELS, Opened, legible

TOKEN = "a-token"


class Served:
    def __init__(self, film: Film) -> None:
        import uvicorn  # noqa: PLC0415  (an extra)

        listening = watch.listen()
        self.port = listening.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.address = f"http://{self.host}/{TOKEN}/"
        app = watch.application(film, TOKEN, (self.host,))
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listening]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        asking.request(method, path, headers={"Host": self.host} | {k.replace("_", "-"): v for k, v in headers.items()})
        answer = asking.getresponse()
        found = answer.status, answer.read(), answer.headers
        asking.close()
        return found


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    if importlib.util.find_spec("starlette") is None or importlib.util.find_spec("uvicorn") is None:
        skip("starlette or uvicorn is not installed: uv sync --group check")
    served = Served(Film.of_dataset(ff.load_dataset("simulated", None, "2025-01-12")))
    yield served
    served.server.should_exit = True
    served.thread.join(10)


WINDOW = "window?first=0&last=300&step=1"


def test_who_has_the_address_is_answered(served: Served) -> None:
    status, page, headers = served.ask(f"/{TOKEN}/")
    assert status == 200
    assert b"connect-src 'self'" in page
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    status, window, _ = served.ask(f"/{TOKEN}/{WINDOW}", Sec_Fetch_Site="same-origin", Origin=f"http://{served.host}")
    assert status == 200
    assert json.loads(window)["bars"]["count"] == 300


@pytest.mark.parametrize("path", ["/", f"/{WINDOW}", f"/wrong/{WINDOW}", f"/{TOKEN}x/", "/wrong/"])
def test_without_the_token_nobody_is(served: Served, path: str) -> None:
    status, body, _ = served.ask(path)
    assert status == 403
    assert TOKEN.encode() not in body


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Host": "rebound.example.org"},
        {"Host": "127.0.0.1:1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["", WINDOW])
def test_another_site_is_refused_even_with_it(served: Served, headers: dict[str, str], path: str) -> None:
    assert served.ask(f"/{TOKEN}/{path}", **headers)[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_only_reads(served: Served, method: str) -> None:
    assert served.ask(f"/{TOKEN}/", method)[0] == 405
    assert served.ask(f"/{TOKEN}/{WINDOW}", method)[0] == 405


@pytest.mark.parametrize("query", ["", "first=0&last=x&step=1", "first=0&last=10&step=0", "first=5&last=5&step=1",
                                   "first=0&last=999999999&step=1"])  # fmt: skip
def test_a_bad_window_is_said_to_be(served: Served, query: str) -> None:
    assert served.ask(f"/{TOKEN}/window?{query}")[0] == 400


def test_a_script_of_another_origin_reads_nothing(served: Served, browser: Any) -> None:
    page = browser.new_page()
    page.route("http://evil.test/", lambda route: route.fulfill(body="<h1>evil</h1>", content_type="text/html"))
    page.goto("http://evil.test/")
    got = page.evaluate(f"fetch('{served.address}{WINDOW}').then((a) => a.text(), () => 'refused')")
    assert got == "refused"


@pytest.fixture(scope="module")
def opened(served: Served, browser: Any) -> Opened:
    return Opened(browser, served.address)


def test_it_plays_steps_and_scrubs(opened: Opened, served: Served) -> None:
    page = opened.page
    bar = "forcedflow.player.bar"
    assert opened.ask(bar) == 300
    page.locator("#speed").select_option("60")
    page.get_by_role("button", name="Play").click()
    opened.wait(f"{bar} > 320")
    page.get_by_role("button", name="Pause").click()
    opened.wait("!forcedflow.player.running")
    at = opened.ask(bar)
    page.get_by_role("button", name="One candle back").click()
    opened.wait(f"{bar} === {at - 1}")
    page.get_by_role("button", name="One candle on").click()
    opened.wait(f"{bar} === {at}")
    page.locator("#scrub").fill("2000")
    opened.wait("forcedflow.stage.scene.first + forcedflow.stage.scene.now === 2000")
    assert page.locator("#where").inner_text() == "bar 2,000 of 3,168"
    assert opened.ask(PIXELS) > 40
    assert page.locator("#told li").count() > 0
    assert opened.troubles == []
    assert {url.split("/")[2] for url in opened.requests} == {served.host}


def test_what_comes_later_is_not_drawn(opened: Opened) -> None:
    opened.page.evaluate("forcedflow.seek(1500)")
    told = opened.ask("""(({ scene, heatmap, candles }) => ({ count: scene.count, now: scene.now,
        drawn: candles.data().filter((bar) => bar.close !== undefined).length }))(forcedflow.stage)""")
    assert told["drawn"] == told["now"] < told["count"]
    shade = """() => { const { stage } = forcedflow, c = document.querySelector('#chart canvas');
        const copy = new OffscreenCanvas(c.width, c.height).getContext('2d'); copy.drawImage(c, 0, 0);
        const x = Math.round((stage.scale.logicalToCoordinate(stage.scene.now + 5)) * devicePixelRatio);
        const d = copy.getImageData(x, 0, 1, c.height).data; const seen = new Set();
        for (let i = 0; i < d.length; i += 4) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]);
        return seen.size; }"""
    assert opened.ask(shade) == 1


def test_steps_back_over_a_window_change_nothing(opened: Opened) -> None:
    state = """(({ scene, heatmap }) => [scene.first + scene.now,
        heatmap.total(scene.now, Math.floor(heatmap.map.rows / 2)),
        scene.bars.ohlc[scene.now - 1]])(forcedflow.stage)"""
    opened.page.evaluate("forcedflow.seek(1195)")
    before = opened.ask(state)
    for _ in range(10):
        opened.page.evaluate("forcedflow.seek(forcedflow.player.bar + 1)")
    assert opened.ask(state)[0] == 1205
    for _ in range(10):
        opened.page.evaluate("forcedflow.seek(forcedflow.player.bar - 1)")
    assert opened.ask(state) == before
    assert opened.troubles == []


def test_keys(opened: Opened) -> None:
    opened.page.evaluate("forcedflow.seek(1000)")
    opened.page.locator("h1").click()
    opened.page.keyboard.press("ArrowLeft")
    opened.wait("forcedflow.player.bar === 999")
    opened.page.keyboard.press("PageDown")
    opened.wait("forcedflow.player.bar === 1049")


def test_it_is_legible_at_two_widths_in_both_themes(opened: Opened) -> None:
    legible(opened)
    assert opened.troubles == []


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    del served
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SettingsError, match=r"forcedflow\[watch\]"):
        watch._starlette()


def test_a_taken_port_is_said(served: Served) -> None:
    with pytest.raises(SettingsError, match="another --port"):
        watch.listen(served.port)
