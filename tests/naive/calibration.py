"""Twin of ``forcedflow.kernels.calibration``: a list of bits of mass, each with its side, offset, bin and size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def swept_by_offset(
    path: Any, traded: Any, stamps: Any, opened: Any, share: Any, offsets: Any, weights: Any, entry_points: int
) -> np.ndarray:
    """Arguments and result as the kernel's, scratch left out."""
    count = offsets.shape[1]
    swept = np.zeros((len(path), 2, count))
    live: list[list[Any]] = []  # side, offset, bin, mass
    settled = -1
    waiting = list(stamps)
    for bar in range(len(path)):
        for piece in live:
            side, k, at, mass = piece
            if at >= path[bar, 2] if side == 0 else at <= path[bar, 3]:
                swept[bar, side, k] += mass
                piece[3] = 0.0
            piece[3] *= share[bar, side]
        live = [piece for piece in live if piece[3] > 0]
        known = [stamp for stamp in waiting if stamp.known <= bar]
        waiting = waiting[len(known) :]
        if not known:
            continue
        through = known[-1].bar
        interval = range(settled + 1, through + 1) if settled >= 0 else range(0)
        total = sum(traded[j] for j in interval)
        for j in interval:
            weight = traded[j] / total if total > 0 else 1 / len(interval)
            span = path[j, 1] - path[j, 0]
            points = min(max(int(span + 0.5), 1), entry_points)
            for p in range(points):
                entry = path[j, 0] + span * (p + 0.5) / points
                for side in (0, 1):
                    worst = path[j : bar + 1, [0, 2]].min() if side == 0 else path[j : bar + 1, [1, 3]].max()
                    reached = [entry + o >= worst if side == 0 else entry + o <= worst for o in offsets[side]]
                    left = sum(w for w, crossed in zip(weights[side], reached, strict=True) if not crossed)
                    for k in range(count):
                        if reached[k] or left <= 0 or opened[bar, side] <= 0:
                            continue
                        position = entry + offsets[side, k]
                        mass = opened[bar, side] * weight / points / left
                        lower = math.floor(position)
                        for at, part in ((lower, 1 - position + lower), (lower + 1, position - lower)):
                            crossed = at >= worst if side == 0 else at <= worst
                            if crossed:  # the bin beside it takes its part
                                live.append([side, k, lower if side == 0 else lower + 1, mass * part])
                            else:
                                live.append([side, k, at, mass * part])
        settled = through
    return swept
