"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

CI = os.environ.get("CI") == "true"

settings.register_profile(
    "default", deadline=None, max_examples=25, derandomize=CI, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")


def skip(reason: str) -> None:
    """Skip the test; in CI nothing may be missing, so there it fails."""
    if CI:
        pytest.fail(f"CI must have it all: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real market data, found as the catalog finds it."""
    named = os.environ.get("FORCEDFLOW_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "binance_um").is_dir():
        skip(f"no real market data at {folder}; set FORCEDFLOW_DATA to its folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def trial_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep what the tests try out of the ledger in results/."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORCEDFLOW_LEDGER", str(file))
        yield file
