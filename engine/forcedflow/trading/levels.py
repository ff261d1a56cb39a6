"""Levels of a plan: small elementwise pieces that strategies share. All prices are log prices, so both sides mirror."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["nearer", "worthwhile"]

FloatArray = npt.NDArray[np.float64]


def nearer(side: npt.ArrayLike, one: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
    """Return the level that a move towards ``side`` reaches first; where one is NaN, the other.

    Parameters
    ----------
    side
        +1: the lower of the two, for a move up; -1: the higher.
    one, other
        Levels ahead, such as a target by distance and the edge of a zone that may be missing.

    Examples
    --------
    >>> import numpy as np
    >>> nearer(np.array([1, -1, 1]), 5.0, np.array([6.0, 6.0, np.nan])).tolist()
    [5.0, 6.0, 5.0]
    """
    side = np.asarray(side)
    found: FloatArray = side * np.fmin(side * np.asarray(one), side * np.asarray(other))
    return found


def worthwhile(
    side: npt.ArrayLike, entry: npt.ArrayLike, stop: npt.ArrayLike, target: npt.ArrayLike, min_reward: float = 0.0
) -> npt.NDArray[np.bool_]:
    """Tell where stop and target lie on their sides of the entry, and the target far enough for what the stop risks.

    Parameters
    ----------
    side
        +1 buys, -1 sells.
    entry, stop, target
        Log prices. False where one is NaN.
    min_reward
        Least distance to the target over distance to the stop.

    Examples
    --------
    >>> import numpy as np
    >>> worthwhile(1, 0.0, np.array([-0.01, -0.01, 0.01, np.nan]), np.array([0.02, 0.004, 0.02, 0.02]), 0.5).tolist()
    [True, False, False, False]
    """
    side, entry = np.asarray(side), np.asarray(entry)
    risk, reward = side * (entry - np.asarray(stop)), side * (np.asarray(target) - entry)
    worth: npt.NDArray[np.bool_] = (risk > 0) & (reward > 0) & (reward >= min_reward * risk)
    return worth
