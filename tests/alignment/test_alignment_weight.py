"""lambda over the steps."""

import pytest

from feast_bc.alignment import AlignmentWeight


def test_constant_by_default() -> None:
    assert [AlignmentWeight()(step) for step in (0, 1, 1000)] == [16, 16, 16]


def test_linear_warm_up() -> None:
    weight = AlignmentWeight(8, warmup=4)
    assert [weight(step) for step in range(7)] == [0, 2, 4, 6, 8, 8, 8]


@pytest.mark.parametrize("wrong", [{"final": -1}, {"warmup": -1}])
def test_negative_values_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 0, got"):
        AlignmentWeight(**wrong)
