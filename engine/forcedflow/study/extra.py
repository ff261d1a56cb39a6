"""What the extra ``evidence`` installs, asked for when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from forcedflow.errors import SettingsError

__all__ = ["from_scipy"]


def from_scipy(module: str, name: str) -> Any:
    """Return ``scipy.module.name``.

    Raises
    ------
    SettingsError
        Where scipy is not installed.
    """
    try:
        return getattr(import_module(f"scipy.{module}"), name)
    except ImportError:
        wanted = "pip install 'forcedflow[evidence]'"
        raise SettingsError(f"scores and calibration need scipy, which is not installed: {wanted}") from None
