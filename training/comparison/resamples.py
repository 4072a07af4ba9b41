"""Resampled users and items: how much of a result hangs on who happened to be in the data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.interactions.interactions import Codes
from training.tasks.auroc import resampled_aurocs
from training.tasks.consumer import Labels
from training.tasks.examples import Examples

RESAMPLES = 100
_DIGITS = 6


class Resamples:
    """Poisson bootstrap over users and over items.

    In resample r an entity occurs as often as a Poisson variable of mean 1 says, in every window,
    task, method and seed alike: so means and differences over those can be resampled as one.

    Args:
        users, items: how many there are in the data.
    """

    def __init__(self, users: int, items: int) -> None:
        rng = np.random.default_rng(0)
        self._users = rng.poisson(size=(RESAMPLES, users)).astype(np.uint8)
        self._items = rng.poisson(size=(RESAMPLES, items)).astype(np.uint8)

    def means(self, users: Codes, values: npt.NDArray[np.float64]) -> list[float]:
        """The mean over users in every resample; codes and values of shape `(n,)`."""
        weights = self._users[:, users].astype(np.float64)
        sums = weights.sum(axis=1)
        return _rounded(np.divide(weights @ values, sums, out=np.zeros(len(sums)), where=sums > 0))

    def aurocs(
        self, asked: Examples, judged: Labels, scores: npt.NDArray[np.float64]
    ) -> list[float]:
        """The AUROC in every resample of the users asked about, or of the items where no user is.

        Args:
            asked: all rows.
            judged: bool, by row.
            scores: of the judged rows.
        """
        if asked.user is not None:
            weights = self._users[:, asked.user[judged]]
        elif asked.item is not None:
            weights = self._items[:, asked.item[judged]]
        else:
            raise ValueError("These examples ask about neither users nor items.")
        return _rounded(resampled_aurocs(asked.labels[judged], scores, weights))


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    """They are stored by the hundred."""
    return [round(value, _DIGITS) for value in values.tolist()]
