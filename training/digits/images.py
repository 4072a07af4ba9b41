"""Scikit-learn's handwritten digits as a stream: more of them are known at every version."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

KNOWN = (500, 700, 900, 1100)
"""How many images version k is trained on; the ones after the last judge."""


@dataclass(frozen=True)
class Images:
    """8 x 8 images in the order of the data set.

    Attributes:
        pixels: float32 in [0, 1], shape `(1797, 64)`.
        digits: int64, shape `(1797,)`.
    """

    pixels: npt.NDArray[np.float32]
    digits: npt.NDArray[np.int64]

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """The images that no model and no consumer has learned from."""
        late: npt.NDArray[np.bool_] = np.arange(len(self.digits)) >= KNOWN[-1]
        return late

    def odd(self) -> npt.NDArray[np.bool_]:
        """The first consumer's question: is the digit odd?"""
        odd: npt.NDArray[np.bool_] = self.digits % 2 == 1
        return odd

    def heavy(self) -> npt.NDArray[np.bool_]:
        """The second consumer's question, of which the digit says little: is there much ink?"""
        ink = self.pixels.sum(axis=1)
        heavy: npt.NDArray[np.bool_] = ink > np.median(ink[: KNOWN[0]])
        return heavy


def load_images() -> Images:
    """All of them; they are part of scikit-learn."""
    pixels, digits = load_digits(return_X_y=True)
    return Images((pixels / 16).astype(np.float32), digits.astype(np.int64))
