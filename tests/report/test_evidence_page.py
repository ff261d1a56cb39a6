"""The page of evidence in a real browser; what it says is tested with the evidence itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import forcedflow as ff
from conftest import skip
from forcedflow.report.evidence_page import evidence_page
from forcedflow.study.evidence.evidence import report
from report.browser import Opened, legible


def test_it_is_silent_and_legible_and_warns_once(browser: Any, tmp_path: Path) -> None:
    if importlib.util.find_spec("scipy") is None:
        skip("scipy is not installed")
    data = ff.load_dataset("simulated")
    found = ff.evidence(data, ["magnet", "void_reversal"], nulls=["time_shifted"])
    shared = set(found[0].caveats) & set(found[1].caveats)
    assert shared
    file = tmp_path / "evidence.html"
    file.write_text(evidence_page(report(data, found)), encoding="utf-8")
    opened = Opened(browser, file.as_uri())
    legible(opened)
    text = opened.page.locator("main").inner_text()
    assert all(text.count(caveat) == 1 for caveat in shared)
    assert opened.troubles == []
    assert [url for url in opened.requests if not url.startswith("file:")] == []
