"""Hypotheses: files that are read, faults that are named, and a digest of what decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forcedflow.errors import SettingsError
from forcedflow.market.tape import make_tape
from forcedflow.study.evidence.effects import gather
from forcedflow.study.evidence.hypothesis import hypothesis_names, load_hypothesis
from forcedflow.study.evidence.size import garch_market

VALUES: dict[str, Any] = {
    "name": "some",
    "title": "t",
    "explanation": "e",
    "event": "ZoneEntry",
    "outcome": "continuation",
    "horizon": "1h",
    "tail": "greater",
}


def test_the_five_claims_of_the_thesis_are_shipped() -> None:
    assert hypothesis_names() == ("aligned_break", "magnet", "passive_levels", "void_reversal", "zone_stops")
    for name in hypothesis_names():
        hypothesis = load_hypothesis(name)
        assert hypothesis.name == name
        assert len(hypothesis.explanation) > 200
        assert hypothesis.tail == "greater"  # the thesis names a direction


def test_a_file_and_a_mapping_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("".join(f'{key} = "{value}"\n' for key, value in VALUES.items()))
    assert load_hypothesis(file) == load_hypothesis(VALUES)
    assert load_hypothesis(VALUES).bars(5 * 60 * 10**9) == (12, 0)
    assert load_hypothesis({**VALUES, "horizon": 7}).bars(60 * 10**9) == (7, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event": "ZoneTouch"}, "there is no event ZoneTouch; known: ZoneEntry"),
        ({"horizon": 0}, "at least one bar"),
        ({"horizon": "soon"}, "not a duration"),
        ({"outcome": "touch"}, "outcome touch needs a level"),
        ({"level": "near"}, "outcome continuation has no level"),
        ({"condition": "fuell > 1"}, "did you mean fuel"),
        ({"condition": "fuel"}, "must be a condition"),
        ({"treated": "fuel + 1"}, "must be a condition"),
        ({"match": ["fuel"]}, "name treated too"),
        ({"tail": "up"}, "tail"),
        ({"name": "Two words"}, "name"),
        ({"outcome": "stop", "level": "far", "treated": "fuel > 1"}, "not with other events"),
        ({"speed": 1}, "Known: name"),
    ],
)
def test_faults_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_hypothesis({**VALUES, **change})


def test_no_such_hypothesis(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no hypothesis 'gravity': name one of aligned_break, magnet"):
        load_hypothesis("gravity")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(SettingsError, match="cannot read hypothesis"):
        load_hypothesis(broken)


def test_the_digest_is_of_what_decides() -> None:
    base = load_hypothesis(VALUES)
    assert base.digest == load_hypothesis({**VALUES, "title": "other words", "nulls": ["mirrored"]}).digest
    for change in ({"horizon": "2h"}, {"condition": "fuel > 1"}, {"tail": "two-sided"}, {"name": "other"}):
        assert base.digest != load_hypothesis({**VALUES, **change}).digest


def test_conditions_pick_events_and_nothing_later_changes_the_pick() -> None:
    market = garch_market(4, 2500)
    hypothesis = load_hypothesis({**VALUES, "event": ["ZoneNear", "ForcedFlow"], "condition": "fuel > 0.05"})
    tape = make_tape(market, snapshots=0)
    whole = gather(hypothesis, tape.bars, tape.events)
    cut = 1500
    early = make_tape(market.between(None, int(market.bars.close_ts[cut - 1])), snapshots=0)
    part = gather(hypothesis, early.bars, early.events)
    assert len(part.cases) > 10
    count = len(part.cases)
    np.testing.assert_array_equal(whole.cases.bar[:count], part.cases.bar)
    np.testing.assert_array_equal(whole.cases.side[:count], part.cases.side)
    assert (whole.cases.bar[count:] + whole.horizon >= cut).all()


def test_sides_and_displacement() -> None:
    market = garch_market(4, 2500)
    tape = make_tape(market, snapshots=0)
    for side, sign in (("above", 1), ("below", -1)):
        picked = gather(load_hypothesis({**VALUES, "event": "ForcedFlow", "side": side}), tape.bars, tape.events)
        assert (picked.cases.side == sign).all()
    raised = gather(
        load_hypothesis({**VALUES, "event": "ForcedFlow", "outcome": "displacement"}), tape.bars, tape.events
    )
    assert (raised.cases.side == 1).all()
