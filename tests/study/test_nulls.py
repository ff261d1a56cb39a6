"""Nulls: which pairs are fair, that the others are refused, and what controls look like."""

from __future__ import annotations

import numpy as np
import pytest

from forcedflow.errors import SettingsError
from forcedflow.market.tape import Tape, make_tape
from forcedflow.study.evidence import nulls
from forcedflow.study.evidence.effects import family, gather
from forcedflow.study.evidence.hypothesis import Hypothesis, hypothesis_names, load_hypothesis
from forcedflow.study.evidence.inference import Sample, statistic
from forcedflow.study.evidence.nulls import NULLS, REPLAYED, check_pair
from forcedflow.study.evidence.outcomes import Cases
from forcedflow.study.evidence.size import garch_market

SHIPPED = [load_hypothesis(name) for name in hypothesis_names()]


@pytest.fixture(scope="module")
def tape() -> Tape:
    return make_tape(garch_market(3, 6000), snapshots=0)


def some(**fields: object) -> Hypothesis:
    values = {"name": "some", "title": "t", "explanation": "e", "event": "ForcedFlow", "outcome": "continuation"}
    return load_hypothesis({**values, "horizon": 6, "tail": "two-sided", **fields})


def test_every_shipped_hypothesis_leads_with_the_path_placebo_and_names_fair_nulls_only() -> None:
    for hypothesis in SHIPPED:
        assert hypothesis.nulls[0] == "path_placebo"
        for name in hypothesis.nulls:
            assert check_pair(hypothesis, name) is NULLS[name]
    assert set().union(*(h.nulls for h in SHIPPED)) == set(NULLS)


def test_every_null_says_when_it_is_fair_and_why_it_is_refused() -> None:
    families = {family(h) for h in SHIPPED} | {"size"}
    for name, null in NULLS.items():
        assert null.symmetry
        assert null.families <= families
        assert bool(null.limit) == (null.families != families), name
    assert REPLAYED == ("path_placebo", "shuffled_leverage")


@pytest.mark.parametrize(
    ("hypothesis", "null", "reason"),
    [
        ("zone_stops", "mirrored", "a stop on the other side is another trade"),
        ("zone_stops", "time_shifted", "a stop is compared with other stops"),
        ("void_reversal", "distance_only", "how soon a level is touched"),
        ("aligned_break", "distance_shuffled_stops", "it deals stops"),
        ("aligned_break", "mirrored", "no mirror image"),
        ("magnet", "matched_controls", "matched by their distance"),
        ("passive_levels", "distance_only", "only touches ask"),
        ("magnet", "bootstrap", "there is no null 'bootstrap'; known: path_placebo"),
    ],
)
def test_an_unfair_pair_is_refused_with_the_reason(hypothesis: str, null: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        check_pair(load_hypothesis(hypothesis), null)


def test_a_size_has_the_path_placebo_alone() -> None:
    volatile = some(outcome="volatility")
    assert [name for name, null in NULLS.items() if family(volatile) in null.families] == ["path_placebo"]


@pytest.mark.parametrize(
    ("hypothesis", "name"),
    [(h, n) for h in SHIPPED for n in h.nulls if n not in REPLAYED],
    ids=lambda value: getattr(value, "name", value),
)
def test_scores_on_the_tape_repeat_with_their_seed(tape: Tape, hypothesis: Hypothesis, name: str) -> None:
    matter = gather(hypothesis, tape.bars, tape.events)
    sample = NULLS[name].sample
    assert sample is not None
    first, again = (sample(tape, matter, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first.y, again.y)
    assert np.isfinite(first.y).all()
    assert len(first.y) == len(first.day)


def test_the_chance_of_a_touch_falls_with_distance_and_is_right_on_average(tape: Tape) -> None:
    matter = gather(load_hypothesis("magnet"), tape.bars, tape.events)
    hazard = nulls._Hazard.of(tape, matter)
    bar = np.arange(500, 5900, 7)
    for multiple in (0.5, 2.0, 5.0):
        distance = multiple * tape.market_bars["atr"][bar]
        touched, chance = [], []
        for side in (-1, 1):
            cases = Cases(bar, np.full(len(bar), side), np.ones(len(bar)), distance)
            touched.append(matter.outcome(cases, "touch"))
            chance.append(hazard.chance(cases))
        assert np.mean(touched) == pytest.approx(np.mean(chance), abs=0.04)
    cases = Cases(bar[:1].repeat(20), np.ones(20, np.int64), np.ones(20), np.linspace(0.0, 0.2, 20))
    chances = hazard.chance(cases)
    assert chances[0] == 1.0
    assert (np.diff(chances) <= 0).all()


def test_controls_keep_what_they_should(tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same hour and weekday, about as volatile, more than a day away, the same distance in ATR, the same side."""
    taken: list[tuple[np.ndarray, Cases]] = []

    def note(tape: Tape, matter: object, like: np.ndarray, controls: Cases) -> Sample:
        taken.append((like, controls))
        return Sample(np.zeros(0), np.zeros(0, np.int64))

    monkeypatch.setattr(nulls, "_against", note)
    matter = gather(load_hypothesis("magnet"), tape.bars, tape.events)
    for name in ("time_shifted", "round_prices", "ma_centred"):
        sample = NULLS[name].sample
        assert sample is not None
        sample(tape, matter, np.random.default_rng(0))
    (like, shifted), (_, rounded), (_, centred) = taken
    own = matter.cases[like]
    hours = tape.bars.close_ts // 3_600_000_000_000
    np.testing.assert_array_equal(hours[own.bar] % 168, hours[shifted.bar] % 168)
    assert (np.abs(own.bar - shifted.bar) > 288).all()
    np.testing.assert_allclose(own.distance / own.atr, shifted.distance / shifted.atr)
    np.testing.assert_array_equal(own.side, shifted.side)
    assert (np.abs(np.log(own.atr / shifted.atr)) <= np.log(1.25) + 1e-12).all()
    price = np.exp(matter.prices.close[rounded.bar] + rounded.side * rounded.distance)
    np.testing.assert_allclose(price / 500, np.rint(price / 500), atol=1e-6)  # 1% of about 60,000
    assert (rounded.distance > 0).all()
    multiple, range_ = centred.distance / centred.atr, matter.cases.distance / matter.cases.atr
    assert multiple.min() >= range_.min() - 1e-9
    assert multiple.max() <= range_.max() + 1e-9


def test_round_steps_are_one_two_or_five(tape: Tape) -> None:
    assert nulls._round_step(np.array([60_000.0, 100_000.0, 3_000.0, 180.0, 0.4])).tolist() == pytest.approx(
        [500, 1000, 20, 2, 0.005]
    )


def test_a_magnet_that_is_there_is_seen(tape: Tape) -> None:
    """Cases whose level is where price went: every null on the tape for touches must reject."""
    matter = gather(load_hypothesis("magnet"), tape.bars, tape.events)
    close = tape.bars.close
    bar = np.arange(400, 5900, 60)
    side = np.where(close[bar + 20] > close[bar], 1, -1)
    cheat = Cases(bar, side, tape.market_bars["atr"][bar], 1.5 * tape.market_bars["atr"][bar])
    fields = {name: getattr(matter, name) for name in type(matter).__slots__}
    seen = type(matter)(**(fields | {"cases": cheat}))
    for name in ("mirrored", "distance_only", "time_shifted", "spot_centred", "ma_centred"):
        sample = NULLS[name].sample
        assert sample is not None
        assert statistic(sample(tape, seen, np.random.default_rng(0)))[1] > 3
