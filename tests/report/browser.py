"""A real browser: Debian's chromium, driven by playwright, and what went wrong in its pages."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

from conftest import skip

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip


def needed() -> None:
    """Skip the test where there is no browser."""
    if importlib.util.find_spec("playwright") is None or not shutil.which(CHROMIUM):
        skip("playwright or Debian's chromium is not installed")


class Opened:
    """A page in the browser, with what it asked for and what went wrong in it."""

    def __init__(self, browser: Any, address: str, scheme: str = "dark") -> None:
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.page.wait_for_selector("[data-ready]", state="attached", timeout=20_000)

    def ask(self, script: str) -> Any:
        """Evaluate once the chart has drawn what it was last told."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.page.evaluate(script)

    def wait(self, condition: str) -> None:
        """Ask until it holds: the page's policy forbids playwright's own way, which evaluates text inside it."""
        for _ in range(400):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"never true: {condition}")


PIXELS = """() => { const c = document.querySelector('#chart canvas');
  const copy = new OffscreenCanvas(c.width, c.height).getContext('2d'); copy.drawImage(c, 0, 0);
  const d = copy.getImageData(0, 0, c.width, c.height).data; const seen = new Set();
  for (let i = 0; i < d.length; i += 4 * 97) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]); return seen.size; }"""
"""How many colours the chart shows: without a map a dozen."""
