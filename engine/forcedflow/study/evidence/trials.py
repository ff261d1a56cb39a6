"""Tests of the tests: hypotheses tried on one market after another, and what came out, kept as it comes."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.study.evidence.evidence import EvidenceSettings, evidence
from forcedflow.study.evidence.hypothesis import hypothesis_names
from forcedflow.study.evidence.inference import rank_p

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from forcedflow.data import Dataset
    from forcedflow.study.evidence.evidence import NullTest
    from forcedflow.study.evidence.hypothesis import Hypothesis

__all__ = ["PLACEBOS", "kept", "line_of", "trial"]

PLACEBOS: Final = 39
"""With 39 paths a p of 5% is the second of forty: the test has exactly its size."""


def trial(
    dataset: Dataset,
    seed: int,
    hypotheses: Sequence[str | Hypothesis] = (),
    *,
    nulls: Sequence[str] = (),
    placebos: int = PLACEBOS,
) -> list[dict[str, Any]]:
    """Test hypotheses (the shipped ones) on one market; return rows of hypothesis, null, p and randomised p."""
    rng = np.random.default_rng((seed, 7))
    settings = EvidenceSettings(placebos=placebos, seed=seed)
    found = evidence(dataset, hypotheses or hypothesis_names(), nulls=nulls, settings=settings)
    return [
        {"hypothesis": finding.hypothesis.name, "null": test.null, **_p(test, finding.hypothesis.tail, rng)}
        for finding in found
        for test in finding.tests
    ]


def _p(test: NullTest, tail: str, rng: np.random.Generator) -> dict[str, float | None]:
    uniform = float(rng.random())
    if test.estimate is None:
        return {"p": None, "randomised": None}
    p = test.estimate.p
    randomised = p if test.drawn is None else rank_p(test.estimate.t, test.drawn, tail, uniform)
    return {"p": p, "randomised": randomised, "t": test.estimate.t, "n": test.estimate.n}


def kept(file: Path, cases: Iterable[tuple[str, Any]], make: Callable[[Any], dict[str, Any]]) -> list[Any]:
    """Return the entry of every case, those that ``file`` does not hold made and added to it: a stopped run goes on.

    Parameters
    ----------
    file
        JSON lines; each entry has its case's name under ``case``.
    cases
        By name.
    """
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    done = {entry["case"]: entry for entry in map(json.loads, lines)}
    file.parent.mkdir(parents=True, exist_ok=True)
    entries = []
    with file.open("a", encoding="utf-8") as rows:
        for name, case in cases:
            if name not in done:
                done[name] = {"case": name, **make(case)}
                rows.write(json.dumps(done[name]) + "\n")
                rows.flush()
            entries.append(done[name])
    return entries


def line_of(module: str, *words: object) -> str:
    """Return the command line that a page was made by."""
    return shlex.join(["python", "-m", f"forcedflow.study.evidence.{module}", *map(str, words)])
