"""The map taken apart by offset, against a list of bits of mass."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.kernels.calibration import swept_by_offset
from forcedflow.market.stamps import stamps_of
from generators import Shape, dataset, examples
from naive import calibration as naive


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
