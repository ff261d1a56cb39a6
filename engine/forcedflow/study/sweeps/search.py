"""A search by Optuna: asked for points and told their scores, here in the parent, whoever does the work.

The sampler is seeded and is asked for fixed batches, so the same scores always lead to the same points. That makes a
sweep's folder its storage: a search that goes on asks again from the beginning, is told what the finished parts say,
and comes to where it was, to the bit, which a journal of trials that were under way could not promise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from forcedflow.errors import SettingsError, extra_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forcedflow.study.sweeps.axes import Axis
    from forcedflow.study.sweeps.space import Point, Space

__all__ = ["Search"]

_REFUSALS: Final = 100  # points in a row that constraints refuse, before a search is given up


class Search:
    """Maximises a score over a space.

    Parameters
    ----------
    space
        Axes may be continuous.
    trials
        Distinct points to try.
    batch
        Points to ask for before any of them is told: what can be worked on at once.
    seed
        Of the sampler.

    Raises
    ------
    SettingsError
        Where Optuna is missing.
    """

    def __init__(self, space: Space, trials: int, batch: int, seed: int) -> None:
        try:
            import optuna  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise extra_needed("a search", "Optuna", "search", "sample") from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._failed = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        self._space, self._left, self._batch = space, trials, batch
        self._waiting: dict[tuple[Any, ...], list[Any]] = {}
        self._known: dict[tuple[Any, ...], float] = {}

    def ask(self) -> list[Point]:
        """Return the next points to try; none when the search is over.

        Raises
        ------
        SettingsError
            Where the constraints refuse nearly everything.
        """
        points: list[Point] = []
        refused = 0
        while self._left and len(points) < self._batch:
            trial = self._study.ask()
            point = {axis.name: _suggest(trial, axis) for axis in self._space.axes}
            key = tuple(point.values())
            if key in self._known:
                self._study.tell(trial, self._known[key])
                refused += 1
            elif key in self._waiting:
                self._waiting[key].append(trial)
                refused += 1
            elif self._refuses(point):
                self._study.tell(trial, state=self._failed)
                refused += 1
            else:
                self._waiting[key] = [trial]
                points.append(point)
                self._left -= 1
                refused = 0
            if refused >= _REFUSALS:
                if not points and not self._known:
                    raise SettingsError(f"the constraints refused {_REFUSALS} points in a row; loosen them")
                self._left = 0  # nothing new is left to find
        return points

    def tell(self, points: Sequence[Point], scores: Sequence[float]) -> None:
        """Tell the scores of points that were asked for; NaN (undefined) counts as the worst."""
        for point, score in zip(points, scores, strict=True):
            key = tuple(point.values())
            value = -math.inf if math.isnan(score) else score
            self._known[key] = value
            for trial in self._waiting.pop(key):
                self._study.tell(trial, value)

    def _refuses(self, point: Point) -> bool:
        if not self._space.allows(point):
            return True
        try:
            self._space.setting(point)
        except SettingsError:  # values that do not go together: the search learns to keep away
            return True
        return False


def _suggest(trial: Any, axis: Axis) -> Any:
    if axis.continuous and axis.whole:
        return trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
    if axis.continuous:
        return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)
    if axis.ordered:
        return axis.values[trial.suggest_int(axis.name, 0, len(axis.values) - 1)]
    return trial.suggest_categorical(axis.name, axis.values)
