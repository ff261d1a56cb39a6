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

OVERLAPS = """() => { const shown = [...document.querySelectorAll(`svg text, .tile span, .tile b, h1, h2, header p,
    .pane-name, #readout, #profile-title, .toolbar > *, .player > *, .choice > p`)].filter((e) => e.textContent.trim())
    .map((e) => [e.getBoundingClientRect(), e]).filter(([box]) => box.width && box.height);
  const found = [];
  shown.forEach(([a, one], k) => shown.slice(k + 1).forEach(([b, other]) => {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && high > 2 && !one.contains(other)) found.push(`${one.textContent} | ${other.textContent}`);
  }));
  return found; }"""
"""Pairs of labels that lie over each other."""

FAINT = """() => { const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parts = (colour) => { pixel.clearRect(0, 0, 1, 1); pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = (top, ground, share) => ground.map((value, k) => value * (1 - share) + top[k] * share);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (c) => { const [r, g, b] = c.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (element) => { const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(parts(getComputedStyle(at).backgroundColor));
    return layers.reduce((under, layer) => over(layer, under, layer[3]), [255, 255, 255]); };
  const plate = (text, under) => {
    const at = text.getBoundingClientRect(), x = at.x + at.width / 2, y = at.y + at.height / 2;
    for (const rect of text.ownerSVGElement.querySelectorAll("rect")) { const box = rect.getBoundingClientRect();
      const behind = rect.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (!behind || x < box.left || x > box.right || y < box.top || y > box.bottom) continue;
      const style = getComputedStyle(rect), fill = parts(style.fill);
      under = over(fill, under, fill[3] * style.opacity * style.fillOpacity); }
    return under; };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest("script, style, title") || !element.getClientRects().length) continue;
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const drawn = element.ownerSVGElement, style = getComputedStyle(element);
    const ink = parts(drawn ? style.fill : style.color);
    const under = drawn ? plate(element, ground(drawn)) : ground(element);
    const [dark, pale] = [light(over(ink, under, ink[3])), light(under)].sort((a, b) => a - b);
    if ((pale + 0.05) / (dark + 0.05) < 4.5) found.push(element.textContent.trim().slice(0, 60));
  }
  return found; }"""
"""Texts whose contrast is less than WCAG's AA asks for."""


def legible(opened: Opened) -> None:
    """Assert that no labels overlap, nothing is wider than the page, and every text has contrast, at two widths."""
    theme = opened.page.get_by_role("button", name="Switch between dark and light")
    for width, height in ((1280, 900), (1920, 1080)):
        opened.page.set_viewport_size({"width": width, "height": height})
        for _ in ("as it is", "the other theme"):
            assert opened.ask("document.documentElement.scrollWidth <= innerWidth")
            assert opened.ask(OVERLAPS) == []
            assert opened.ask(FAINT) == []
            theme.press("Enter")
