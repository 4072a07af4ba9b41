"""Two instants of the tiny shop: later users and items are not known at the first one."""

import numpy as np
import pytest

from training.interactions.history import History, history
from training.interactions.interactions import Interactions


@pytest.fixture(scope="session")
def early(shop: Interactions) -> History:
    return history(shop, shop.timestamp[60])


@pytest.fixture(scope="session")
def later(shop: Interactions, early: History) -> History:
    found = history(shop, shop.timestamp[len(shop) // 2])
    assert np.all(np.array(found.bought.shape) > early.bought.shape)
    return found
