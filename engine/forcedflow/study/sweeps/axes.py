"""The axes of a sweep: which setting varies, and over which values, as people write them.

A value is written as in ``--set``, or with a unit: ``4h`` for a setting that counts bars, ``2bps`` and ``5%`` for one
that is a share. A range is ``low:high:count``, spaced evenly, or ``low:high:count:log`` by equal ratios; ``low:high``
and ``low:high:log`` without a count is continuous, to be sampled or searched.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from forcedflow.data.times import duration_ns
from forcedflow.errors import SettingsError
from forcedflow.settings import AccountSettings, MarketSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from forcedflow.trading.strategy import Strategy

__all__ = ["Axis", "Declared", "Place", "declarations", "known_name", "make_axis", "one_value"]

Place = Literal["params", "market", "account"]
"""Who declares a setting: the strategy, the market, the account."""

_UNIT: Final = re.compile(r"(?P<number>[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*(?P<unit>bps|%)")
_DURATION: Final = re.compile(r"\d+\s*(s|min|h|d|w|m)")


@dataclass(frozen=True, slots=True)
class Declared:
    """A setting as its model declares it."""

    name: str
    """As it is written in a sweep: bare for a strategy's parameter, else ``market.`` or ``account.`` in front."""
    place: Place
    field: str
    info: FieldInfo

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that it may take."""
        annotation = self.info.annotation
        is_union = typing.get_origin(annotation) in {typing.Union, types.UnionType}
        return typing.get_args(annotation) if is_union else (annotation,)

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers."""
        return int in self.kinds and float not in self.kinds

    @property
    def numeric(self) -> bool:
        """Whether it takes numbers."""
        return int in self.kinds or float in self.kinds

    @property
    def counts_bars(self) -> bool:
        """Whether it counts bars, so that a duration can be given for it.

        A field says so by ``json_schema_extra={"unit": "bars"}``; of a whole number, the word in its description is
        enough.
        """
        extra = self.info.json_schema_extra
        if isinstance(extra, dict) and "unit" in extra:
            return extra["unit"] == "bars"
        return self.whole and bool(re.search(r"\bbars\b", self.info.description or ""))


@dataclass(frozen=True, slots=True)
class Axis:
    """One setting that varies."""

    name: str
    place: Place
    field: str
    values: tuple[Any, ...]
    """In order, numbers ascending; empty on a continuous axis."""
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    """Whether equal ratios are equal steps."""
    whole: bool = False

    @property
    def continuous(self) -> bool:
        """Whether it has a range in place of values."""
        return not self.values

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers, so that neighbours mean something."""
        return self.continuous or all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values)

    def at(self, share: float) -> Any:
        """Return the value at a share of the axis, 0 to 1."""
        if self.values:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value

    def share_of(self, value: Any) -> float:
        """Return where a value lies in a picture, 0 to 1: by its size on a continuous axis, else by its turn."""
        if not self.continuous:
            return self.values.index(value) / max(len(self.values) - 1, 1)
        if self.low == self.high:
            return 0.0
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        share: float = (value - self.low) / (self.high - self.low)
        return share

    def spec(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        base = {"name": self.name, "place": self.place, "log": self.log, "whole": self.whole}
        return base | ({"low": self.low, "high": self.high} if self.continuous else {"values": list(self.values)})

    @classmethod
    def of_spec(cls, spec: dict[str, Any]) -> Axis:
        """Read what :meth:`spec` returned."""
        field = spec["name"].rpartition(".")[2]
        span = (spec.get("low", math.nan), spec.get("high", math.nan))
        return cls(spec["name"], spec["place"], field, tuple(spec.get("values", ())), *span, spec["log"], spec["whole"])


def declarations(strategy: type[Strategy]) -> dict[str, Declared]:
    """Return every setting that a sweep of this strategy can vary, by the name that a sweep writes."""
    models: tuple[tuple[Place, str, type[BaseModel]], ...] = (
        ("params", "", strategy),
        ("market", "market.", MarketSettings),
        ("account", "account.", AccountSettings),
    )
    return {
        prefix + field: Declared(prefix + field, place, field, info)
        for place, prefix, model in models
        for field, info in model.model_fields.items()
    }


def known_name(name: str, known: Iterable[str], what: str) -> None:
    """Refuse a name that nothing declares, and say which one may have been meant.

    Raises
    ------
    SettingsError
        With the nearest names, or all of the same place.
    """
    names = list(known)
    if name in names:
        return
    place = name.rpartition(".")[0]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    near = near or [other for other in names if other.rpartition(".")[2] == name.rpartition(".")[2]]
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else "known: " + ", ".join(other for other in names if other.rpartition(".")[0] == place)
    )
    raise SettingsError(f"{what}: no setting {name!r}; {hint}")


def make_axis(declared: Declared, given: str | Sequence[Any], interval: int) -> Axis:
    """Read the values of one axis and check them against the setting's declaration.

    Parameters
    ----------
    declared
        The setting.
    given
        Values separated by commas, ranges among them; or a sequence of values.
    interval
        Of the bars, nanoseconds: what a duration is counted in.

    Raises
    ------
    SettingsError
        Naming the setting and the value that it cannot take.
    """
    pieces = given.split(",") if isinstance(given, str) else list(given)
    values: list[Any] = []
    for piece in pieces:
        text = piece.strip() if isinstance(piece, str) else None
        if text is not None and ":" in text and declared.numeric:
            found = _range(declared, text, interval)
            if isinstance(found, Axis):
                if len(pieces) > 1:
                    raise SettingsError(f"{declared.name}: a continuous range stands alone, was {given!r}")
                return found
            values.extend(found)
        else:
            values.append(_checked(declared, _read(declared, piece, interval), piece))
    if not values:
        raise SettingsError(f"{declared.name}: no values; give some, such as {declared.name}=1,2,3")
    distinct = list(dict.fromkeys(values))
    axis = Axis(declared.name, declared.place, declared.field, tuple(distinct), whole=declared.whole)
    if not axis.ordered:
        return axis
    ascending = tuple(sorted(distinct))
    return Axis(axis.name, axis.place, axis.field, ascending, log=_by_ratio(ascending), whole=axis.whole)


def one_value(declared: Declared, given: object, interval: int) -> Any:
    """Read the value of a setting that is held; otherwise as :func:`make_axis`."""
    return _checked(declared, _read(declared, given, interval), given)


def _by_ratio(values: tuple[float, ...]) -> bool:
    """Whether values rather grow by equal ratios than by equal steps."""
    if len(values) < 3 or values[0] <= 0:
        return False
    steps, ratios = np.diff(values), np.diff(np.log(values))
    return bool(ratios.std() / ratios.mean() < 0.99 * steps.std() / steps.mean())


def _range(declared: Declared, text: str, interval: int) -> list[Any] | Axis:
    first, last, *rest = (part.strip() for part in text.split(":"))
    log = bool(rest) and rest[-1] == "log"
    counts = rest[:-1] if log else rest
    if len(counts) > 1 or not all(count.isdigit() and int(count) > 0 for count in counts):
        raise SettingsError(f"{declared.name}: a range is low:high:count, low:high:count:log or low:high, was {text!r}")
    low, high = (
        _number(declared, _checked(declared, _read(declared, end, interval), end), text) for end in (first, last)
    )
    if not low <= high or (log and low <= 0):
        raise SettingsError(f"{declared.name}: {text!r} must ascend{' from above 0' if log else ''}")
    if not counts:
        if low == high:
            return [_checked(declared, low, text)]
        return Axis(declared.name, declared.place, declared.field, (), low, high, log, declared.whole)
    spaced = np.geomspace(low, high, int(counts[0])) if log else np.linspace(low, high, int(counts[0]))
    # Twelve digits: 0.1:0.5:9 means 0.15, not 0.15000000000000002.
    exact = [round(v) if declared.whole else float(f"{v:.12g}") for v in spaced.tolist()]
    return [_checked(declared, value, text) for value in exact]


def _number(declared: Declared, value: object, text: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"{declared.name}: a range runs between numbers, was {text!r}")
    return value


def _read(declared: Declared, piece: object, interval: int) -> object:
    """Turn what was written into a value that the declaration can judge."""
    if not isinstance(piece, str):
        return piece.item() if isinstance(piece, np.generic) else piece
    text = piece.strip()
    if declared.numeric and (unit := _UNIT.fullmatch(text)) is not None:
        return _with_unit(declared, float(unit["number"]), unit["unit"], text)
    if declared.numeric and _DURATION.fullmatch(text):
        return _bars(declared, text, interval)
    if text == "none" and type(None) in declared.kinds:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a word; or a number that TOML writes otherwise, such as .5, which the declaration reads


def _with_unit(declared: Declared, number: float, unit: str, text: str) -> float:
    if declared.field.endswith("_bps"):
        return number if unit == "bps" else number * 100
    if declared.whole:
        raise SettingsError(f"{declared.name} counts, it is no share: {text!r} means nothing there")
    return number / (10_000 if unit == "bps" else 100)


def _bars(declared: Declared, text: str, interval: int) -> int:
    if not declared.counts_bars:
        raise SettingsError(f"{declared.name} does not count bars: {text!r} means nothing there")
    try:
        bars, rest = divmod(duration_ns(text), interval)
    except ValueError as error:
        raise SettingsError(f"{declared.name}: {error}") from None
    if rest:
        raise SettingsError(f"{declared.name}: {text!r} is no whole number of bars of {interval / 60e9:g} min")
    return bars


def _checked(declared: Declared, value: object, written: object) -> Any:
    """Return the value as the setting's model takes it."""
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{declared.name}: must be finite, was {written!r}")
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[declared.info.annotation, declared.info])  # type: ignore[arg-type]
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise SettingsError(f"{declared.name}: {error.errors(include_url=False)[0]['msg']}, was {written!r}") from None
