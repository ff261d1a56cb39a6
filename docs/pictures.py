"""Take the README's two pictures: ``uv run --group check python docs/pictures.py``, with Debian's chromium.

A run and a sweep of zone_entry on two months of BTCUSDT, as anyone would see them; they are forgotten afterwards.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

import forcedflow as ff

RESULTS = Path(__file__).resolve().parents[1] / "results"
GRID = {"stop_atr": "0.5:3:6", "target_atr": "2:16:8", "depth": "0:0.75:4"}


def main() -> None:
    """Write example.png and compare.png."""
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])

        def take(page: Path, name: str, height: int, first: str = "body") -> None:
            shown = browser.new_page(viewport={"width": 1400, "height": height}, color_scheme="dark")
            shown.goto(page.as_uri())
            shown.wait_for_selector("[data-ready]", state="attached")
            shown.evaluate(f"scrollTo(0, document.querySelector('{first}').offsetTop - 24)")
            shown.screenshot(path=RESULTS / name)

        here = Path(folder)
        run = ff.save(ff.run("btcusdt-5m", "zone_entry"), here / "run")
        take(run / "tearsheet.html", "example.png", 1000)
        ff.sweep("btcusdt-5m", "zone_entry", GRID, out=here / "swept")
        ff.compare(here / "swept").page(here / "compare.html")
        take(here / "compare.html", "compare.png", 1180, "#sweep-0")
        browser.close()


if __name__ == "__main__":
    main()
