"""Whether a difference could be chance: the paired bootstrap (Efron, 1979), by percentiles."""

from __future__ import annotations

import numpy as np

from feast_bc.contracts.figures import Figure
from feast_bc.errors import ContractError

LEVEL = 0.95
"""Of the interval."""


def paired_interval(
    native: Figure, served: Figure, entities: int, resamples: int, *, of: str, seed: int = 0
) -> tuple[float, float]:
    """An interval for served - native: both figures on the same resamples of the entities.

    Args:
        native, served: the figures.
        entities: how many entities they are of.
        resamples: how many resamples to draw.
        of: whose figures, for error messages.
        seed: draws them; the same entities give the same interval.

    Raises:
        ContractError: more than one resample in ten has no figure: one label is too rare.
    """
    rng = np.random.default_rng(seed)
    differences = np.empty(resamples)
    for number in range(resamples):
        counts = np.bincount(rng.integers(entities, size=entities), minlength=entities)
        differences[number] = served(counts) - native(counts)
    known = differences[~np.isnan(differences)]
    if len(known) < 0.9 * resamples:
        raise ContractError(
            f"{of}: {resamples - len(known)} of {resamples} resamples of the {entities} entities "
            "have no figure; expected some entities of each label. Take a larger sample."
        )
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
