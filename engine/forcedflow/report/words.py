"""A run in plain words: what the map contributed, and numbers as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from forcedflow.report.definitions import MEASURES, Measure
from forcedflow.tables import PLAUSIBLE_RATE

if TYPE_CHECKING:
    from forcedflow.record import Result

__all__ = ["WHAT", "Quality", "contribution", "headline", "map_quality", "shown", "summary_rows", "tone", "verdict"]

_HEADLINE: Final = ("total_return", "sharpe", "max_drawdown", "cvar_95", "trades", "hit_rate", "expectancy_r")
_FORMS: Final = {
    "share": ",.2%",
    "ratio": ",.2f",
    "days": ",.1f",
    "bars": ",.1f",
    "R": ",.2f",
    "ATR": ",.1f",
    "quote": ",.2f",
    "count": ",d",
    "bps": ",.2f",
}
_SUFFIXES: Final = {"days": " d", "bars": " bars", "R": " R", "ATR": " ATR", "bps": " bps"}
WHAT: Final = {"placement": "stops and targets", "selection": "entries"}
"""What a contrast takes the map away from."""

Quality = tuple[str, str, str, str]
"""Title, share, what it is a share of, and tone."""


def headline() -> list[Measure]:
    """Return the measures that a reader sees first."""
    return [measure for name in _HEADLINE for measure in MEASURES if measure.name == name]


def summary_rows(run: Result) -> list[tuple[str, str]]:
    """Return the first measures and the map's quality as title and text, for a terminal."""
    rows = [(measure.title, shown(measure, run.scorecard)) for measure in headline()]
    rows += [(title, f"{text} of {whole}") for title, text, whole, _ in map_quality(run.summary)]
    rows.append(("Ambiguous bars", str(run.summary["ambiguous_bars"])))
    return rows


def map_quality(summary: dict[str, Any]) -> list[Quality]:
    """Return what says how far to trust the map.

    "Reopened" is the share of the largest burns that reappears as new positions: open interest that moved, not left.
    """
    rate, reopened = summary["implied_liquidation_rate"], summary.get("reopened_share")
    facts = [("OI located", f"{summary.get('coverage_mean', summary['coverage']):.0%}", "open interest", "")]
    if rate is not None:
        doubtful = not PLAUSIBLE_RATE[0] <= rate <= PLAUSIBLE_RATE[1]
        facts.append(("Liquidated a day", f"{rate:.2%}", "open interest", "bad" if doubtful else ""))
    if reopened is not None:
        facts.append(("Reopened", f"{reopened:.0%}", "the largest burns, as new positions", ""))
    return facts


def shown(measure: Measure, card: dict[str, Any]) -> str:
    """Return a measure of a scorecard as text with its unit, a dash where it is undefined."""
    value = card.get(measure.name)
    if value is None:
        return "–"
    text = format(value, ("+" if measure.signed else "") + _FORMS[measure.unit])
    return text.replace("-", "−") + _SUFFIXES.get(measure.unit, "")


def tone(measure: Measure, card: dict[str, Any]) -> str:
    """Return ``good`` or ``bad`` for a measure whose sign says so, else nothing."""
    value = card.get(measure.name)
    if value is None or not value or not measure.signed:
        return ""
    return "good" if value > 0 else "bad"


def verdict(name: str, contrast: dict[str, Any] | None) -> str:
    """Say in one plain sentence whether the map helped, hurt, or whether nobody can tell.

    Parameters
    ----------
    name
        ``placement`` or ``selection``.
    contrast
        ``n``, ``mean``, ``low``, ``high``, ``unit`` of the map's contribution, and ``mde``, the least effect that so
        many signals would show, where it is known; None where trades were too few.
    """
    what = WHAT[name]
    if contrast is None:
        return f"Can't tell: there were too few trades to compare the map's {what} with blind ones."
    figures = (
        f"{contrast['mean']:+.2f} {contrast['unit']} a trade against blind ones "
        f"(interval {contrast['low']:+.2f} to {contrast['high']:+.2f}; {contrast['n']:,} signals, each traded alone)"
    ).replace("-", "−")
    if contrast["low"] > 0.0:
        return f"Helped: the map's {what} gained {figures}."
    if contrast["high"] < 0.0:
        return f"Hurt: the map's {what} made {figures}."
    least = contrast.get("mde")
    unseen = "" if least is None else f"; an effect under {least:.2g} {contrast['unit']} would not have been seen"
    return f"Can't tell: the map's {what} made {figures}, and the interval contains zero{unseen}."


def contribution(blind: dict[str, Any]) -> str:
    """Say in one plain sentence what the map contributed, both contrasts taken together."""
    given = {name: contrast for name in WHAT if (contrast := blind.get(name)) is not None}
    if not given:
        return "Can't tell what the map contributed: there were too few trades to compare with blind ones."
    helped = [_effect(name, contrast) for name, contrast in given.items() if contrast["low"] > 0.0]
    hurt = [_effect(name, contrast) for name, contrast in given.items() if contrast["high"] < 0.0]
    unsure = {name: contrast for name, contrast in given.items() if contrast["low"] <= 0.0 <= contrast["high"]}
    if helped and hurt:
        said = f"The map helped by its {' and '.join(helped)}, and hurt by its {' and '.join(hurt)}"
    elif helped:
        said = f"The map helped by its {' and '.join(helped)}"
    elif hurt:
        said = f"The map hurt by its {' and '.join(hurt)}"
    else:
        return f"Can't tell whether the map helped: {_unseen(unsure)}."
    return f"{said}; {_unseen(unsure)}." if unsure else f"{said}."


def _effect(name: str, contrast: dict[str, Any]) -> str:
    return f"{WHAT[name]} ({contrast['mean']:+.2f} {contrast['unit']} a trade)".replace("-", "−")


def _unseen(contrasts: dict[str, dict[str, Any]]) -> str:
    """Tell below which size an effect could not have been seen."""
    what = [f"its {WHAT[name]}" for name in contrasts]
    least = [
        f"{contrast['mde']:.2g} {contrast['unit']} ({WHAT[name]})"
        for name, contrast in contrasts.items()
        if contrast.get("mde") is not None
    ]
    did = f"{what[0]} did not differ" if len(what) == 1 else f"neither {what[0]} nor {what[1]} differed"
    said = f"{did} from blind ones by more than chance"
    return f"{said}; effects under {' and '.join(least)} would not have been seen" if least else said
