"""Streaming averages of the bars: the denominators of every threshold."""

from __future__ import annotations

from forcedflow.kernels import FloatArray, lean_kernel, small_kernel

__all__ = ["follow", "half_life_average"]


@small_kernel
def follow(average: float, value: float, seen: int, memory: int) -> float:
    """Return the average after one more ``value``: a mean of the first ``memory`` values, then Wilder's smoothing.

    Wilder (1978), New Concepts in Technical Trading Systems, section III.
    """
    return average + (value - average) / min(seen + 1, memory)


@lean_kernel
def half_life_average(values: FloatArray, half_life: FloatArray, out: FloatArray) -> None:
    """Write the average of ``values[0..i]`` to ``out[i]``: at bar ``j`` weights halve every ``half_life[j]`` bars."""
    total, weight = 0.0, 0.0
    for i in range(len(values)):
        keep = 0.5 ** (1.0 / half_life[i])
        total = total * keep + values[i]
        weight = weight * keep + 1.0
        out[i] = total / weight
