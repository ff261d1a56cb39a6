"""A sweep's results: the table, what it says, and the choices of a walk-forward with what they earned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.errors import RecordError, SettingsError
from forcedflow.ledger import count_trials
from forcedflow.report.definitions import SWEEP_MEASURES
from forcedflow.report.told import Told
from forcedflow.study.sweeps.axes import Axis
from forcedflow.study.sweeps.reading import Choice, Reading, Rows, believe, plain, read_rows, scores_of
from forcedflow.study.sweeps.robust import best_of, neighbours, robust_scores
from forcedflow.study.sweeps.store import Store, column_of, query, schema_of
from forcedflow.study.sweeps.text import reading_blocks, walk_blocks
from forcedflow.study.sweeps.walk import OutOfSample, stitch

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure

    from forcedflow.report.told import Block
    from forcedflow.tables import FloatArray

__all__ = ["FoldChoice", "Sweep", "WalkReading", "load_sweep", "schema_for"]

_MEASURES = tuple(measure.name for measure in SWEEP_MEASURES)


@dataclass(frozen=True, slots=True)
class FoldChoice:
    """What a fold chose in training, and what that did in the test."""

    fold: int
    times: tuple[str, ...]
    """First and last moment of training, first and last of the test, ISO UTC."""
    setting: int | None
    """None where no setting had a score in training (with its neighbours): the test span is not traded."""
    point: dict[str, Any]
    train_score: float
    train_robust: float
    test_score: float
    test_card: dict[str, float | int | None]


@dataclass(frozen=True, slots=True)
class WalkReading:
    """A walk-forward of one strategy on one dataset."""

    dataset: str
    data_hash: str
    strategy: str
    score: str
    mode: str
    choose: str
    folds: tuple[FoldChoice, ...]
    out_of_sample: OutOfSample
    psr: float
    """Probability that the true Sharpe ratio of the stitched equity is above 0; nothing was chosen by the tests."""
    trials: int
    """Distinct settings ever tried on the same files, by the ledger."""
    efficiency: float
    """Mean score in the tests over mean score in training; NaN unless the latter is positive."""


class Sweep(Told):
    """Results of a sweep; shows itself in a terminal and a notebook.

    Parameters
    ----------
    manifest
        What was swept; as in the folder's ``sweep.json``.
    rows
        One row a setting, and span of a walk-forward.
    failures
        Tasks that could not be finished: the numbers of their settings, and why.
    folder
        Where it is kept; None if only here.
    """

    def __init__(
        self, manifest: dict[str, Any], rows: pa.Table, failures: list[dict[str, Any]], folder: Path | None
    ) -> None:
        self.manifest, self.rows, self.failures, self.folder = manifest, rows, failures, folder

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a setting (and span of a walk-forward): where it lies, its scorecard, why it failed."""
        kept = [name for name in self.rows.column_names if name != "daily"]
        frame: pd.DataFrame = self.rows.select(kept).to_pandas()
        return frame

    @property
    def score(self) -> str:
        """The measure that the sweep is read by; with a minus, less is better."""
        score: str = self.manifest["config"]["score"]
        return score

    @property
    def walks(self) -> bool:
        """Whether this is a walk-forward."""
        return self.manifest["config"]["walk_forward"] is not None

    def blocks(self) -> list[Block]:
        """Return what the sweep, or the walk-forward, says of each strategy on each dataset."""
        told = [block for reading in self.readings() for block in reading_blocks(reading)]
        return told + [block for walk in self.walk_forward() for block in walk_blocks(walk)]

    def daily(self, setting: int) -> pd.Series[float]:
        """Return a setting's equity at the end of each day, the first value the initial equity.

        Raises
        ------
        RecordError
            Where it was not kept, or there is no such setting.
        """
        import pandas as pd  # noqa: PLC0415  (1.4 s that a sweep does not need)

        if self.walks or "daily" not in self.rows.column_names:
            raise RecordError("daily equity of a setting is kept by a sweep of level compact or audit, no walk-forward")
        numbers = self.rows["setting"].to_numpy()
        (at,) = np.nonzero(numbers == setting)
        curve = self.rows["daily"][int(at[0])].as_py() if len(at) else None
        if curve is None:
            raise RecordError(f"setting {setting} has no equity: it is unknown or failed")
        group = self._group_of(self.rows["dataset"][int(at[0])].as_py(), self.rows["strategy"][int(at[0])].as_py())
        return pd.Series(curve, index=pd.to_datetime(group["days"], utc=True), name=setting)

    def readings(self, score: str | None = None) -> tuple[Reading, ...]:
        """Return what the sweep says, one reading for each dataset and strategy; none for a walk-forward.

        Parameters
        ----------
        score
            A measure in place of the sweep's own.
        """
        if self.walks:
            return ()
        return tuple(self._reading(group, score or self.score) for group in self.manifest["groups"])

    def best(self, score: str | None = None) -> Choice:
        """Return the best point of a sweep of one strategy on one dataset.

        Raises
        ------
        SettingsError
            Where there are several to choose from (take :meth:`readings`), or no setting has a score.
        """
        return self._only(score, "best")

    def plateau(self, score: str | None = None) -> Choice:
        """Return the point whose neighbourhood is best; otherwise as :meth:`best`."""
        return self._only(score, "plateau")

    def walk_forward(self, score: str | None = None) -> tuple[WalkReading, ...]:
        """Return the choices of a walk-forward, one for each dataset and strategy; none for another sweep.

        Parameters
        ----------
        score
            A measure in place of the sweep's own to choose by.
        """
        if not self.walks:
            return ()
        return tuple(self._walk(group, score or self.score) for group in self.manifest["groups"])

    def plot(self, path: str | Path | None = None, score: str | None = None) -> Figure:
        """Return heatmaps with the plateau framed, and each parameter's share, as a matplotlib figure.

        Parameters
        ----------
        path
            Where to save it, without a browser: PNG, SVG or PDF by its suffix.
        score
            A measure in place of the sweep's own.

        Raises
        ------
        SettingsError
            matplotlib is not installed, no setting has a score, or this is a walk-forward.
        """
        from forcedflow.report.sweep_plot import sweep  # noqa: PLC0415  (what a sweep does not need)

        return sweep([plain(reading) for reading in self.readings(score)], path)

    def query(self, sql: str) -> pd.DataFrame:
        """Ask the finished parts in SQL; they are the table ``results``. Needs a folder and DuckDB."""
        if self.folder is None:
            raise RecordError("to query a sweep it must be kept in a folder: sweep(..., out=DIR)")
        frame: pd.DataFrame = query(self.folder, sql).to_pandas()
        return frame

    def _only(self, score: str | None, which: str) -> Choice:
        readings = self.readings(score)
        if len(readings) != 1:
            raise SettingsError(
                f"this sweep has {len(readings)} readings to choose from: take readings(), or walk_forward()"
            )
        choice: Choice | None = getattr(readings[0], which)
        if choice is None:
            raise SettingsError(f"no setting has a {readings[0].score} (did any trade?); try another score")
        return choice

    def _group_of(self, dataset: str, strategy: str) -> dict[str, Any]:
        for group in self.manifest["groups"]:
            if (group["dataset"], group["strategy"]) == (dataset, strategy):
                found: dict[str, Any] = group
                return found
        raise RecordError(f"the sweep has no {strategy} on {dataset}")

    def _reading(self, group: dict[str, Any], score: str) -> Reading:
        trials = count_trials(group["data_hash"], group["files"])
        names = {name: group[name] for name in ("dataset", "data_hash", "strategy")}
        return read_rows(self._rows(group, self._of(group)), score, trials, **names)

    def _of(self, group: dict[str, Any]) -> pa.Table:
        import pyarrow.compute as pc  # noqa: PLC0415

        mine = pc.and_(
            pc.equal(self.rows["dataset"], group["dataset"]), pc.equal(self.rows["strategy"], group["strategy"])
        )
        return self.rows.filter(mine)

    def _rows(self, group: dict[str, Any], table: pa.Table) -> Rows:
        axes = [Axis.of_spec(spec) for spec in group["axes"]]
        columns = {axis.name: _values(table[column_of(axis.name)].to_pylist(), axis) for axis in axes}
        points = [{name: column[row] for name, column in columns.items()} for row in range(len(table))]
        daily = days = None
        if "daily" in table.column_names and not self.walks:
            days = np.array(group["days"], dtype=np.int64)
            size = len(days)
            blank = [math.nan] * size
            daily = np.array([curve or blank for curve in table["daily"].to_pylist()]).reshape(-1, size).T
        return Rows(
            axes,
            table["setting"].to_pylist(),
            table["key"].to_pylist(),
            points,
            table.select(_MEASURES).to_pylist(),
            table["error"].to_pylist(),
            daily,
            days,
        )

    def _walk(self, group: dict[str, Any], score: str) -> WalkReading:
        walk = self.manifest["config"]["walk_forward"]
        table = self._of(group)
        sign = -1.0 if score.startswith("-") else 1.0
        choices, curves, ends = [], [], []
        cash = 1.0
        for fold in group["folds"]:
            trained, tested = (_span(table, fold["number"], trains=trains) for trains in (True, False))
            rows = self._rows(group, trained)
            scores = scores_of(rows.cards, score)
            robust = robust_scores(scores, neighbours(rows.axes, rows.points))
            chosen = best_of(robust, scores) if walk["choose"] == "plateau" else best_of(scores, robust)
            span = np.array(fold["days"], dtype=np.int64)
            curve, card, number = None, {}, None
            if chosen is not None:
                number = rows.numbers[chosen]
                at = tested["setting"].to_pylist().index(number)
                card = tested.select(_MEASURES).slice(at, 1).to_pylist()[0]
                curve = tested["daily"][at].as_py()
            cash = curve[0] if curve else cash
            curves.append(np.array(curve) if curve else np.full(len(span), cash))
            ends.append(span)
            test_score = float(sign * scores_of([card], score)[0])
            choices.append(
                FoldChoice(
                    fold["number"],
                    tuple(fold["times"]),
                    number,
                    {} if chosen is None else rows.points[chosen],
                    _at(sign * scores, chosen),
                    _at(sign * robust, chosen),
                    test_score,
                    card,
                )
            )
        stitched = stitch(ends, curves, group["calendar"])
        trials = count_trials(group["data_hash"], group["files"])
        belief = believe(stitched.card, math.nan, 1, 1)
        return WalkReading(
            group["dataset"],
            group["data_hash"],
            group["strategy"],
            score,
            walk["mode"],
            walk["choose"],
            tuple(choices),
            stitched,
            belief.psr,
            max(trials.files, len(set(table["key"].to_pylist()))),
            _efficiency(choices),
        )


def load_sweep(folder: str | Path) -> Sweep:
    """Read a sweep's folder, finished or not.

    Raises
    ------
    RecordError
        Naming what is missing or damaged.
    """
    store = Store(folder)
    return Sweep(store.manifest, store.table(schema_for(store.manifest)), store.failures(), store.folder)


def schema_for(manifest: dict[str, Any]) -> pa.Schema:
    """Return the columns of the sweep that a manifest describes."""
    config = manifest["config"]
    axes = [Axis.of_spec(spec) for group in manifest["groups"] for spec in group["axes"]]
    walks = config["walk_forward"] is not None
    return schema_of(axes, folds=walks, daily=walks or config["level"] != "score")


def _span(table: pa.Table, fold: int, *, trains: bool) -> pa.Table:
    import pyarrow.compute as pc  # noqa: PLC0415

    return table.filter(pc.and_(pc.equal(table["fold"], fold), pc.equal(table["trains"], trains)))


def _values(column: list[Any], axis: Axis) -> list[Any]:
    """Return a column's values as the axis has them: words of a mixed axis come back from text."""
    if axis.continuous:
        return column
    by_text = {None if value is None else str(value): value for value in axis.values}
    by_value = {value: value for value in axis.values}
    return [by_value[value] if value in by_value else by_text[value] for value in column]


def _at(scores: FloatArray, row: int | None) -> float:
    return math.nan if row is None else float(scores[row])


def _efficiency(choices: list[FoldChoice]) -> float:
    both = [c for c in choices if math.isfinite(c.train_score) and math.isfinite(c.test_score)]
    trained = sum(c.train_score for c in both)
    return sum(c.test_score for c in both) / trained if trained > 0.0 else math.nan
