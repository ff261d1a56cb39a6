"""Runs and sweeps beside each other: what each earned, and how much of it to believe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forcedflow.backtest import key_of, tried_on
from forcedflow.errors import RecordError
from forcedflow.ledger import count_trials
from forcedflow.parts import Parted
from forcedflow.record import read_result
from forcedflow.report.compare_page import compare_page
from forcedflow.report.told import Told
from forcedflow.study.sweeps.portrait import growth, thinned
from forcedflow.study.sweeps.reading import Belief, Reading, believe, plain
from forcedflow.study.sweeps.results import WalkReading, load_sweep
from forcedflow.study.sweeps.store import is_sweep
from forcedflow.study.sweeps.text import comparison_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from forcedflow.record import Result
    from forcedflow.report.told import Block
    from forcedflow.tables import FloatArray

__all__ = ["Comparison", "RunEntry", "compare"]


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A single run."""

    folder: str
    dataset: str
    data_hash: str
    strategy: str
    key: str
    point: dict[str, Any]
    """The settings in which the compared runs of its strategy differ."""
    card: dict[str, float | int | None]
    belief: Belief
    """Deflated by the ledger's count; the spread of trials without skill is taken from its own standard error."""
    warnings: tuple[str, ...]
    times: tuple[int, ...]
    """Some of its bars' closes, evenly: seconds since 1970, UTC."""
    growth: FloatArray
    """Equity at them over the initial one."""


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Told):
    """What was found in some folders; shows itself in a terminal and a notebook."""

    runs: tuple[RunEntry, ...]
    readings: tuple[Reading, ...]
    """Of sweeps."""
    walks: tuple[WalkReading, ...]
    """Of walk-forwards."""
    sources: tuple[tuple[str, str], ...]
    """Folder and kind (``run``, ``sweep``, ``walk-forward``) in the order given."""
    failures: tuple[str, ...]
    """Why tasks of the sweeps are missing."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each run, each best point and best plateau of a sweep, and each walk-forward."""
        rows = [_row("run", r.folder, r.dataset, r.strategy, r.point, r.card, r.belief) for r in self.runs]
        for reading in self.readings:
            for kind, choice in (("best point", reading.best), ("best plateau", reading.plateau)):
                if choice is not None:
                    row = _row(kind, "", reading.dataset, reading.strategy, choice.point, choice.card, choice.belief)
                    rows.append(row | {"robust": choice.robust, "pbo": reading.pbo.pbo if reading.pbo else math.nan})
        for walk in self.walks:
            card = walk.out_of_sample.card
            belief = believe(card, math.nan, 1, 1)
            row = _row("walk-forward", "", walk.dataset, walk.strategy, {}, card, belief)
            rows.append(row | {"dsr": math.nan, "trials": walk.trials})
        return rows

    def blocks(self) -> list[Block]:
        """Return the table, then what each sweep and walk-forward says."""
        return comparison_blocks(self)

    @property
    def table(self) -> pd.DataFrame:
        """The rows as a table, everything of their scorecards in it."""
        import pandas as pd  # noqa: PLC0415  (1.4 s that a comparison does not need)

        return pd.DataFrame([row["card"] | {k: v for k, v in row.items() if k != "card"} for row in self.rows()])

    def page(self, path: str | Path | None = None) -> str:
        """Return everything as one self-contained HTML page, and save it where a path is given."""
        page = compare_page(self.plain())
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page

    def plain(self) -> dict[str, Any]:
        """Return everything, and the rows as ``table``, as JSON has it: undefined numbers are None."""
        told: dict[str, Any] = plain(self)
        return {"table": plain(self.rows())} | told


def compare(folders: str | Path | Iterable[str | Path], score: str | None = None) -> Comparison:
    """Read run and sweep folders.

    Parameters
    ----------
    folders
        Records of runs, folders of sweeps, in any mixture.
    score
        The measure to read sweeps by, in place of each one's own; with a minus in front, less is better.

    Raises
    ------
    RecordError
        Naming the folder that is neither.

    Examples
    --------
    >>> import forcedflow as ff
    >>> _ = ff.sweep(grid={"risk": [0.005, 0.01]}, end="2025-01-05", out="risks")
    >>> [reading.settings for reading in ff.compare("risks").readings]
    [2]
    >>> ff.compare("risks").page("risks.html")[:15]
    '<!doctype html>'
    """
    paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
    readings: list[Reading] = []
    walks: list[WalkReading] = []
    failures: list[str] = []
    sources: list[tuple[str, str]] = []
    runs: list[tuple[Path, Result]] = []
    for path in paths:
        if is_sweep(path):
            found = load_sweep(path)
            if not len(found.rows):
                raise RecordError(f"{path} has no finished task yet; go on with: forcedflow sweep --resume {path}")
            readings += found.readings(score)
            walks += found.walk_forward(score)
            missing = _missing(found.manifest["settings"], len(set(found.rows["setting"].to_pylist())))
            failures += [
                f"{path}: {len(f['settings'])} settings could not be tried: {f['why']}" for f in found.failures
            ]
            failures += (
                [f"{path}: {missing} settings are not done: forcedflow sweep --resume {path}"] if missing else []
            )
            sources.append((str(path), "walk-forward" if found.walks else "sweep"))
        elif (path / "run.json").is_file():
            runs.append((path, read_result(path)))
            sources.append((str(path), "run"))
        else:
            raise RecordError(f"{path} is neither a run (no run.json) nor a sweep (no sweep.json)")
    varied = _varied([run.config for _, run in runs])
    entries = tuple(_entry(path, run, varied[n]) for n, (path, run) in enumerate(runs))
    return Comparison(entries, tuple(readings), tuple(walks), tuple(sources), tuple(failures))


def _entry(path: Path, run: Result, point: dict[str, Any]) -> RunEntry:
    equity = Parted(path, "equity")
    drawn = equity.at(thinned(equity.rows), "ts", "equity")
    data_hash, files = tried_on(run)
    trials = count_trials(data_hash, files)
    belief = believe(run.scorecard, math.nan, max(trials.files, 1), max(trials.bars, 1))
    config = run.config
    return RunEntry(
        str(path),
        config["dataset"],
        data_hash,
        config["strategy"],
        key_of(run),
        point,
        run.scorecard,
        belief,
        tuple(run.summary["warnings"]),
        *growth(drawn["ts"], drawn["equity"], config["account"]["cash"]),
    )


def _varied(configs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each run, the settings in which it differs from another one of its strategy."""
    flat = [
        c["params"] | {f"{place}.{name}": value for place in ("market", "account") for name, value in c[place].items()}
        for c in configs
    ]
    found = []
    for own, config in zip(flat, configs, strict=True):
        others = [other for other, c in zip(flat, configs, strict=True) if c["strategy"] == config["strategy"]]
        found.append({name: v for name, v in own.items() if any(other.get(name) != v for other in others)})
    return found


def _missing(settings: int | None, done: int) -> int:
    return 0 if settings is None else settings - done


def _row(
    kind: str,
    folder: str,
    dataset: str,
    strategy: str,
    point: Mapping[str, Any],
    card: Mapping[str, float | int | None],
    belief: Belief,
) -> dict[str, Any]:
    return {
        "what": kind,
        "folder": folder,
        "dataset": dataset,
        "strategy": strategy,
        "point": dict(point),
        "card": dict(card),
        "psr": belief.psr,
        "dsr": belief.dsr,
        "trials": belief.trials,
        "robust": math.nan,
        "pbo": math.nan,
    }
