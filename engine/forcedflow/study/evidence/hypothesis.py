"""A hypothesis: at which events, under which condition, what should happen within which time. Data, not code."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from forcedflow.data.times import duration_ns
from forcedflow.errors import SettingsError
from forcedflow.settings import Settings, parse
from forcedflow.study.evidence.expression import Expression
from forcedflow.tables import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Hypothesis", "Outcome", "hypothesis_names", "load_hypothesis"]

Outcome = Literal[
    "first_touch", "touch", "displacement", "continuation", "reversal", "volatility", "mfe", "mae", "markout", "stop"
]
LEVELLED: Final = ("first_touch", "touch", "markout", "stop")
"""Outcomes that look at a price level."""
UNITS: Final = {"first_touch": "share", "touch": "share"}
"""Unit of an effect; ATR where it is not named."""

_FOLDER: Final = Path(__file__).parent / "hypotheses"
_KINDS: Final = {kind.title: kind for kind in EventKind}


class Hypothesis(Settings):
    """A claim about what follows an event.

    Everything that an expression can name is known at the close of the event's bar; the outcome begins with the next
    bar.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="by which it is asked for")
    title: str = Field(min_length=1, description="the claim, in one sentence")
    explanation: str = Field(min_length=1, description="why it should be so and what is measured, for a trader")
    event: tuple[str, ...] = Field(min_length=1, description="kinds of event, such as ZoneNear")
    condition: str = Field(default="", description="which of these events; all where left out")
    treated: str = Field(
        default="", description="the effect is that of events where this is so, against the others; else of all events"
    )
    match: tuple[str, ...] = Field(
        default=(),
        max_length=3,
        description="with treated: expressions in whose thirds, and on the same side, events are compared",
    )
    side: Literal["both", "above", "below"] = Field(default="both", description="events of which side count")
    level: str = Field(default="", description="price that the outcome looks at, an expression")
    outcome: Outcome = Field(description="what is measured over the horizon")
    horizon: str | int = Field(description="bars, or a duration such as 4h")
    hold: str | int = Field(default=12, description="markout: how long after the fill, bars or a duration")
    tail: Literal["greater", "less", "two-sided"] = Field(description="direction that the claim names")
    nulls: tuple[str, ...] = Field(default=("path_placebo",), min_length=1, description="nulls it is held against")

    @field_validator("event", "nulls", "match", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("horizon", "hold")
    @classmethod
    def _length(cls, value: str | int) -> str | int:
        if isinstance(value, str):
            if duration_ns(value) <= 0:
                raise ValueError("must be longer than nothing")
        elif value < 1:
            raise ValueError("must be at least one bar")
        return value

    @model_validator(mode="after")
    def _sound(self) -> Self:
        unknown = sorted(set(self.event) - set(_KINDS))
        if unknown:
            raise ValueError(f"there is no event {unknown[0]}; known: {', '.join(_KINDS)}")
        for what, text, condition in (
            ("condition", self.condition, True),
            ("treated", self.treated, True),
            ("level", self.level, False),
            *(("match", text, False) for text in self.match),
        ):
            if text and _read(text, what).is_condition != condition:
                raise ValueError(f"{what} must be a {'condition' if condition else 'number'}, was {text!r}")
        if bool(self.level) != (self.outcome in LEVELLED):
            raise ValueError(
                f"outcome {self.outcome} needs a level" if not self.level else f"outcome {self.outcome} has no level"
            )
        if self.match and not self.treated:
            raise ValueError("match says how treated events are compared with the others: name treated too")
        if self.treated and self.outcome in LEVELLED:
            raise ValueError(f"outcome {self.outcome} is compared with other levels, not with other events")
        return self

    @property
    def kinds(self) -> tuple[EventKind, ...]:
        """The kinds of event, as numbers."""
        return tuple(_KINDS[title] for title in self.event)

    @property
    def unit(self) -> str:
        """Unit of the effect."""
        return UNITS.get(self.outcome, "ATR")

    @property
    def digest(self) -> str:
        """sha256 over all that bears on a figure; words and the list of nulls do not."""
        deciding = self.model_dump(mode="json", exclude={"title", "explanation", "nulls"})
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    def bars(self, interval: int) -> tuple[int, int]:
        """Return horizon and hold in bars of ``interval`` nanoseconds; ``hold`` is 0 where there is none."""
        horizon = _bars(self.horizon, interval)
        return horizon, _bars(self.hold, interval) if self.outcome == "markout" else 0


def hypothesis_names() -> tuple[str, ...]:
    """Return the names of the shipped hypotheses."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_hypothesis(ref: str | Path | Mapping[str, object]) -> Hypothesis:
    """Return a hypothesis by name, from a TOML file, or from a mapping.

    Raises
    ------
    SettingsError
        Where there is none of that name, or it is not sound; every fault is named.
    """
    if not isinstance(ref, str | Path):
        return parse(Hypothesis, dict(ref), "hypothesis")
    shipped = _FOLDER / f"{ref}.toml"
    path = shipped if shipped.is_file() else Path(ref)
    if not path.is_file():
        raise SettingsError(f"no hypothesis {str(ref)!r}: name one of {', '.join(hypothesis_names())}, or a TOML file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read hypothesis {path}: {error}") from None
    return parse(Hypothesis, values, f"hypothesis {path.name}")


def _bars(length: str | int, interval: int) -> int:
    return length if isinstance(length, int) else max(math.ceil(duration_ns(length) / interval), 1)


def _read(text: str, what: str) -> Expression:
    try:
        return Expression.of(text, what)
    except SettingsError as error:
        raise ValueError(str(error)) from None  # so that pydantic tells it with the other faults
