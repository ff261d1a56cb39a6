"""What matplotlib pictures share: a figure without pyplot, the pages' dark colours, and how it is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forcedflow.errors import extra_needed

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ACCENT", "BAD", "CARD", "MUTED", "PAGE", "PRICE", "TEXT", "WARN", "new_figure", "plain_axes", "saved"]

PAGE: Final = "#0b0f16"
CARD: Final = "#121823"
TEXT: Final = "#c9d2e0"
MUTED: Final = "#93a0b4"
PRICE: Final = "#5eead4"
BAD: Final = "#ff9b85"
WARN: Final = "#f5c451"
ACCENT: Final = "#7cb3ff"


def new_figure(inches: tuple[float, float]) -> Figure:
    """Return an empty figure; nothing is shown and nothing stays open.

    Raises
    ------
    SettingsError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)
    except ImportError:
        raise extra_needed("a picture", "matplotlib", "plot", "write .html where a command has --out") from None
    return Figure(figsize=inches, facecolor=PAGE, layout="constrained")


def saved(figure: Figure, path: str | Path | None) -> Figure:
    """Return the figure, saved without a browser where a path is given: PNG, SVG or PDF by its suffix."""
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure


def plain_axes(axes: Axes, title: str) -> None:
    """Put on the page's colours, without a frame."""
    axes.set_facecolor(PAGE)
    axes.set_title(title.replace("$", r"\$"), color=TEXT, loc="left")  # a dollar would start mathematical text
    axes.tick_params(colors=TEXT)
    axes.xaxis.get_offset_text().set_color(TEXT)
    for spine in axes.spines.values():
        spine.set_visible(False)
