"""What the extra ``evidence`` installs, asked for when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from forcedflow.errors import extra_needed

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
        raise extra_needed("scoring and calibrating a map", "scipy", "evidence") from None
