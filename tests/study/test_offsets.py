"""The map taken apart by offset is the map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.data.simulation import simulate
from forcedflow.errors import DataError
from forcedflow.settings import MarketSettings
from forcedflow.study.calibration.offsets import OffsetFlows, with_holders
from forcedflow.venues import Distance, Distances, Profile, Tier, load_profile
from generators import COARSE, Shape, dataset, examples


def even(leverages: tuple[float, ...]) -> Profile:
    tiers = tuple(Tier(leverage=x, weight=1 / len(leverages), notional=1000) for x in leverages)
    return Profile(name="even", title="even", source="test", tiers=tiers)


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    every=st.sampled_from([1, 3]),
    step=st.sampled_from([0.01, 0.04]),
    flags=st.sets(st.sampled_from(["gaps", "flat", "quiet", "marks", "missing"])),
    lag=st.booleans(),
)
def test_parts_times_weights_are_what_the_pass_swept(
    seed: int, every: int, step: float, flags: set[str], lag: bool
) -> None:
    if lag:
        flags -= {"gaps"}  # after a gap two stamps would become known at once
    chosen = {flag: flag in flags for flag in ("gaps", "flat", "quiet", "marks", "missing")}
    data = dataset(replace(Shape(seed=seed, bars=60, every=every, step=step), **chosen))  # type: ignore[arg-type]
    if lag:  # every stamp known a bar later
        oi = data.venues[0].open_interest
        assert oi is not None
        late = replace(oi, available_at=oi.available_at + data.bars.interval)
        data = replace(data, venues=(replace(data.venues[0], open_interest=late),))
    flows = OffsetFlows.of(data, even((40, 20, 10, 5, 2)), COARSE)
    for side, name in enumerate(("long", "short")):
        swept = flows.tape.market_bars[f"swept_{name}_liq"]
        parts = flows.swept[:, side] @ flows.weights[side]
        np.testing.assert_allclose(parts, swept, rtol=1e-6, atol=1e-9 * max(swept.max(), 1.0))


def test_what_cannot_be_taken_apart_is_refused() -> None:
    settings = MarketSettings()
    tiers = even((10, 5))
    with pytest.raises(DataError, match="one linear venue"):
        OffsetFlows.of(dataset(Shape(venues=("linear", "inverse"))), tiers, settings)
    with pytest.raises(DataError, match="one linear venue"):
        OffsetFlows.of(dataset(Shape(venues=("inverse",))), tiers, settings)
    with pytest.raises(DataError, match="stops"):
        OffsetFlows.of(dataset(Shape()), load_profile("simulated"), settings)
    with pytest.raises(DataError, match="margin rules change"):
        OffsetFlows.of(dataset(Shape(venues=("margins",), bars=600)), even((2, 3)), settings)
    near, far = Distance(distance=0.1, weight=1.0), Distance(distance=0.2, weight=0.5)
    uneven = Distances(notional=1000, long=(near,), short=(far, replace_distance(far)))
    profile = Profile(name="uneven", title="uneven", source="test", distances=uneven)
    with pytest.raises(DataError, match="same number"):
        OffsetFlows.of(dataset(Shape()), profile, settings)


def replace_distance(row: Distance) -> Distance:
    return row.model_copy(update={"distance": row.distance * 2})


def test_holders_are_replaced_at_every_venue_of_a_dataset_in_memory() -> None:
    data = simulate("null", bars=60, warmup_bars=0).dataset()
    assert [v.profile for v in with_holders(data, "peers").venues] == ["peers"]
    assert isinstance(data.venues[0].profile, Profile)
