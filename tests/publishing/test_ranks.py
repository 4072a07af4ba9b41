import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from feast_bc.publishing.ranks import midranks, rank_correlation

VALUES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=30)


@given(VALUES)
def test_midranks_are_scipys(values: list[float]) -> None:
    np.testing.assert_allclose(midranks(np.array(values)), rankdata(values))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_the_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, np.float64).T
    found = rank_correlation(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)


def test_one_value_has_no_correlation() -> None:
    assert rank_correlation(np.ones(1), np.ones(1)) is None
