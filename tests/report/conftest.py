"""Fixtures of the report's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from report.synthetic import synthetic_run

if TYPE_CHECKING:
    from forcedflow.record import Run


@pytest.fixture(scope="session")
def run() -> Run:
    return synthetic_run()
