"""Growing time windows, cut by the number of interactions as in the paper, not by duration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from training.interactions.interactions import Instants


@dataclass(frozen=True)
class Slice:
    """The instants of one embedding version, in order.

    Attributes:
        validation_start: the schedule is chosen by a fit on everything up to here ...
        end: ... and measured on `(validation_start, end]`; the version itself is then fitted on
            everything up to `end`, the instant at which its vectors are computed.
        test_end: `(end, test_end]` is what the version is judged on; no fit sees it.
    """

    validation_start: np.datetime64
    end: np.datetime64
    test_end: np.datetime64


def slice_by_count(
    timestamps: Instants,
    quantiles: Sequence[float] = (0.55, 0.7, 0.85),
    *,
    validation: float = 0.05,
) -> list[Slice]:
    """One slice per quantile; each one's test window ends where the next version is trained.

    Args:
        timestamps: ascending, shape `(n,)`.
        quantiles: the share of interactions up to each version's `end`, ascending, below 1.
        validation: the share of interactions in a validation window.

    Raises:
        ValueError: quantiles that are not ascending within `(validation, 1)`.
    """
    bounds = [*quantiles, 1.0]
    if list(quantiles) != sorted(set(quantiles)) or not validation < bounds[0] <= bounds[-2] < 1:
        raise ValueError(f"Quantiles must ascend within ({validation}, 1), got {tuple(quantiles)}.")

    def instant(share: float) -> np.datetime64:
        last: np.datetime64 = timestamps[max(int(share * len(timestamps)), 1) - 1]
        return last

    return [
        Slice(instant(start - validation), instant(start), instant(stop))
        for start, stop in pairwise(bounds)
    ]
