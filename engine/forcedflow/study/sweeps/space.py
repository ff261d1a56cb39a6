"""The space of a sweep: its axes, what is held fixed, the constraints, and the points that are tried."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from forcedflow.errors import SettingsError, extra_needed
from forcedflow.settings import AccountSettings, MarketSettings, parse
from forcedflow.study.sweeps.axes import Axis, Place, declarations, known_name, make_axis, one_value
from forcedflow.study.sweeps.constraints import Constraint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from forcedflow.tables import FloatArray
    from forcedflow.trading.strategy import Strategy

__all__ = ["Point", "Setting", "Space", "make_space"]

Point = dict[str, Any]
"""The value of each axis, by the axis's name."""

_ROUNDS: Final = 64  # of drawing, where constraints or a coarse grid refuse most points


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of a sweep, validated."""

    point: Point
    params: dict[str, Any]
    """What the strategy is made with: its fixed and its varied parameters."""
    market: MarketSettings
    account: AccountSettings
    """Before fees that were not set are taken from the venue."""


@dataclass(frozen=True, slots=True)
class Space:
    """What a strategy is swept over on bars of one interval."""

    strategy: type[Strategy]
    axes: tuple[Axis, ...]
    constraints: tuple[Constraint, ...]
    fixed: Mapping[Place, Mapping[str, Any]]
    _markets: dict[str, MarketSettings] = field(default_factory=dict, repr=False)

    def points(self) -> Iterator[Point]:
        """Yield the points of the grid that satisfy the constraints, the last axis fastest.

        Raises
        ------
        SettingsError
            Where an axis is continuous.
        """
        for axis in self.axes:
            if axis.continuous:
                raise SettingsError(
                    f"{axis.name} is a continuous range: give a count ({axis.low:g}:{axis.high:g}:9), sample, or search"
                )
        names = [axis.name for axis in self.axes]
        for values in itertools.product(*(axis.values for axis in self.axes)):
            point = dict(zip(names, values, strict=True))
            if self.allows(point):
                yield point

    def sample(self, method: Literal["random", "sobol"], count: int, seed: int) -> list[Point]:
        """Draw distinct points that satisfy the constraints; all of them where there are no more than ``count``.

        Parameters
        ----------
        method
            ``random``: independent points. ``sobol``: a scrambled Sobol sequence, which leaves smaller gaps; needs
            SciPy.
        seed
            The same seed draws the same points.
        """
        draw = _random(len(self.axes), seed) if method == "random" else _sobol(len(self.axes), seed)
        found: dict[tuple[Any, ...], Point] = {}
        for _ in range(_ROUNDS):
            for shares in draw(count).tolist():
                point = {axis.name: axis.at(share) for axis, share in zip(self.axes, shares, strict=True)}
                if self.allows(point):
                    found.setdefault(tuple(point.values()), point)
                if len(found) == count:
                    return list(found.values())
        return list(found.values())

    def allows(self, point: Point) -> bool:
        """Tell whether a point satisfies the constraints."""
        if not self.constraints:
            return True
        values = self._values(point)
        return all(constraint.holds(values) for constraint in self.constraints)

    def setting(self, point: Point) -> Setting:
        """Return a point as validated settings.

        Raises
        ------
        SettingsError
            Where values that are fine by themselves do not go together, naming the point.
        """
        given: dict[Place, dict[str, Any]] = {place: dict(self.fixed[place]) for place in self.fixed}
        for axis in self.axes:
            given[axis.place][axis.field] = point[axis.name]
        shown = ", ".join(f"{name}={value}" for name, value in point.items()) or "the fixed settings"
        try:
            parse(self.strategy, given["params"], f"strategy {self.strategy.__name__}")
            key = repr(sorted(given["market"].items()))
            if key not in self._markets:
                self._markets[key] = parse(MarketSettings, given["market"], "market")
            account = parse(AccountSettings, given["account"], "account")
        except SettingsError as error:
            raise SettingsError(f"{shown}: {error}; leave such points out with a constraint (--where)") from None
        return Setting(point, given["params"], self._markets[key], account)

    def _values(self, point: Point) -> dict[str, Any]:
        """Return every setting's value at a point, as constraints name it."""
        values = {
            name: declared.info.get_default(call_default_factory=True)
            for name, declared in declarations(self.strategy).items()
        }
        for place, fixed in self.fixed.items():
            prefix = "" if place == "params" else f"{place}."
            values |= {prefix + name: value for name, value in fixed.items()}
        return values | point


def make_space(
    strategy: type[Strategy],
    grid: Mapping[str, str | Sequence[Any]],
    constraints: Iterable[str],
    fixed: Mapping[Place, Mapping[str, Any]],
    interval: int,
    others: Iterable[type[Strategy]] = (),
) -> Space:
    """Read what is to be swept, and check every value against the declarations before any work is done.

    Parameters
    ----------
    strategy
        Whose parameters the bare names are.
    grid
        Values by the setting's name; a string as on the command line.
    constraints
        Conditions as :class:`Constraint` reads them.
    fixed
        Settings that differ from the defaults and do not vary.
    interval
        Of the bars, nanoseconds.
    others
        Strategies of the same sweep: a bare name that only they declare is theirs, and left out here.

    Raises
    ------
    SettingsError
        Naming the setting, what is wrong with it, and what may have been meant.
    """
    known = declarations(strategy)
    theirs = {name for other in others for name in declarations(other)} - set(known)
    for name in grid:
        if name not in theirs:
            known_name(name, known, f"strategy {strategy.__name__}")
    axes = tuple(make_axis(known[name], given, interval) for name, given in grid.items() if name in known)
    conditions = [Constraint.of(text) for text in constraints]
    for condition in conditions:
        for name in condition.names - theirs:
            known_name(name, known, f"constraint {condition.text!r}")
    for place, values in fixed.items():
        for name in values:
            full = name if place == "params" else f"{place}.{name}"
            if full not in theirs:
                known_name(full, known, "fixed settings")
            if full in grid:
                raise SettingsError(f"{full} is both fixed and swept; leave one out")
    own: dict[Place, dict[str, Any]] = {place: {} for place in fixed}
    for place, values in fixed.items():
        for name, value in values.items():
            full = name if place == "params" else f"{place}.{name}"
            if full not in theirs:
                own[place][name] = one_value(known[full], value, interval)
    return Space(strategy, axes, tuple(c for c in conditions if not c.names & theirs), own)


def _random(axes: int, seed: int) -> Callable[[int], FloatArray]:
    rng = np.random.default_rng(seed)
    return lambda count: rng.random((count, axes))


def _sobol(axes: int, seed: int) -> Callable[[int], FloatArray]:
    try:
        from scipy.stats import qmc  # noqa: PLC0415  (2 s that nothing else needs)
    except ImportError as error:
        raise extra_needed("a Sobol sample", "scipy", "search", "sample at random") from error
    sequence = qmc.Sobol(max(axes, 1), rng=seed) if axes else None

    def draw(wanted: int) -> FloatArray:
        if sequence is None:
            return np.empty((wanted, 0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # counts that are no power of two lose a little balance
            drawn: FloatArray = sequence.random(wanted)
        return drawn

    return draw
