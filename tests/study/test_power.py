"""Power on markets with a mechanism: a small seeded version of what docs/power.md holds."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forcedflow.study.evidence import power
from forcedflow.study.evidence.hypothesis import hypothesis_names
from forcedflow.study.evidence.power import MECHANISMS, Cell, Mechanism, curves, planted_market, powers
from forcedflow.study.evidence.trials import kept, trial

IMPACT, MAGNET = MECHANISMS


CHEAP = {
    "aligned_break": "matched_controls",
    "passive_levels": "mirrored",
    "void_reversal": "mirrored",
    "zone_stops": "distance_shuffled_stops",
    "magnet": "path_placebo",
}
"""A null of each hypothesis; those that replay nothing allow a longer market."""


def test_every_shipped_hypothesis_has_a_mechanism_that_makes_it_true() -> None:
    assert sorted(name for m in MECHANISMS for name in m.hypotheses) == list(hypothesis_names())


@pytest.mark.parametrize(("mechanism", "bars"), [(IMPACT, 60_000), (MAGNET, 8_000)])
def test_what_was_planted_is_found(mechanism: Mechanism, bars: int) -> None:
    """Seeded, so it holds or fails for good: a change that costs a hypothesis its power fails here."""
    t = np.zeros((2, len(mechanism.hypotheses)))
    for seed in range(len(t)):
        market = planted_market(mechanism, 1.0, bars, seed)
        for column, name in enumerate(mechanism.hypotheses):
            (row,) = trial(market, seed, [name], nulls=[CHEAP[name]], placebos=19)
            t[seed, column] = row["t"]
    joint = dict(zip(mechanism.hypotheses, t.sum(axis=0) / len(t) ** 0.5, strict=True))
    assert min(joint.values()) > 1.645, joint  # one-sided 5%


def test_shares_bounds_and_the_sample_that_is_needed() -> None:
    entries = [
        {"strength": 1.0, "bars": bars, "tests": [{"hypothesis": "h", "null": "path_placebo", "p": p, "n": 20}]}
        for bars, values in ((1000, (0.01, 0.2, None, 0.05)), (2000, (0.01,) * 9 + (0.06,)), (4000, (0.01,) * 4))
        for p in values
    ]
    small, middle, large = powers(entries)
    assert (small.share, middle.share, large.share) == (0.5, 0.9, 1.0)
    assert middle.least == pytest.approx(0.6525, abs=1e-3)  # Wilson, one-sided 95%
    assert power._needed([large, small, middle]) == middle
    assert power._needed([small]) is None
    picture = curves([small, middle, large])
    assert len(re.findall("<polyline", picture)) == len(power.STRENGTHS)
    assert len(re.findall(r'points="[^"]+"', picture)) == 1


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    made: list[int] = []

    def make(number: int) -> dict[str, int]:
        made.append(number)
        return {"square": number**2}

    file = tmp_path / "rows.jsonl"
    kept(file, [("a", 2), ("b", 3)], make)
    entries = kept(file, [("a", 2), ("b", 3), ("c", 4)], make)
    assert [entry["square"] for entry in entries] == [4, 9, 16]
    assert made == [2, 3, 4]


def test_the_page_says_what_was_run_and_draws_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "SIZES", (500, 1000))
    monkeypatch.setattr(power, "IDLE", 1000)
    monkeypatch.setattr(power, "MECHANISMS", (replace(MAGNET, largest=1000),))
    power.main(["--markets", "1", "--rows", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "power.md")])
    page = (tmp_path / "power.md").read_text()
    assert "`python -m forcedflow.study.evidence.power --markets 1 --seed 4000" in page
    assert "| magnet |" in page
    assert (tmp_path / "power.svg").read_text().startswith("<svg")
    assert Cell(MAGNET, 1.0, 1000, 4000).name in (tmp_path / "rows.jsonl").read_text()
