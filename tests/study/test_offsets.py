"""The map taken apart by offset is the map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.data.simulation import simulate
from forcedflow.errors import DataError
from forcedflow.kernels.calibration import swept_by_offset
from forcedflow.market.feeds import stamps_of
from forcedflow.settings import MarketSettings
from forcedflow.study.offsets import OffsetFlows, with_holders
from forcedflow.venues import Distance, Distances, Profile, Tier, load_profile
from generators import COARSE, Shape, dataset, examples
from naive import calibration as naive


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


@examples(10)
@given(seed=st.integers(0, 2**32 - 1), every=st.sampled_from([1, 4]), points=st.integers(1, 6))
def test_kernel_equals_its_naive_twin(seed: int, every: int, points: int) -> None:
    data = dataset(Shape(seed=seed, bars=40, every=every, lag=2, step=0.02, quiet=True))
    rng, bars = np.random.default_rng(seed), data.bars
    oi = data.venues[0].open_interest
    assert oi is not None
    stamps = stamps_of(oi, bars)
    path = np.log(np.stack([bars.low, bars.high, bars.low, bars.high], axis=1)) / 5e-3
    path[:, 2:] += rng.normal(0, 1, (len(bars), 2))
    opened, share = rng.exponential(1, (len(bars), 2)), rng.uniform(0.5, 1, (len(bars), 2))
    opened[rng.random(opened.shape) < 0.2] = 0.0
    away = np.sort(rng.uniform(0.2, 30, (2, 4)), axis=1)
    offsets, weights = np.array([[-1.0], [1.0]]) * away, rng.dirichlet(np.ones(4), 2)
    first = int(path.min() + offsets.min()) - 4
    count = int(path.max() + offsets.max()) + 4 - first
    swept = np.empty((len(bars), 2, 4))
    swept_by_offset(
        path,
        bars.volume,
        stamps,
        opened,
        share,
        offsets,
        weights,
        points,
        first,
        np.zeros((2, 4, count)),
        np.empty((2, 4, 2), np.int64),
        np.ones(2),
        swept,
    )
    expected = naive.swept_by_offset(path, bars.volume, stamps, opened, share, offsets, weights, points)
    np.testing.assert_allclose(swept, expected, rtol=1e-9, atol=1e-12)


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
