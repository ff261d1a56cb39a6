"""Fixtures of the report's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from report.browser import ARGUMENTS, CHROMIUM, needed
from report.synthetic import synthetic_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forcedflow.record import Run


@pytest.fixture(scope="session")
def run() -> Run:
    return synthetic_run()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    needed()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()
