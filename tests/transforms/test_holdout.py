import numpy as np
import pytest

from feast_bc.errors import EntityKeyError
from feast_bc.transforms.holdout import Holdout


def test_the_share_is_as_declared() -> None:
    held_out = Holdout(0.25).contains(range(20_000))
    assert held_out.dtype == bool
    assert abs(held_out.mean() - 0.25) < 0.02


def test_a_key_is_decided_alone_and_by_its_text() -> None:
    holdout = Holdout(0.5)
    together = holdout.contains(range(200))
    alone = [bool(holdout.contains([key])[0]) for key in range(200)]
    as_text = holdout.contains(str(key) for key in range(200))
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, as_text)


def test_a_tuple_is_not_the_join_of_its_parts() -> None:
    holdout = Holdout(0.5)
    pairs = [("a", str(i)) for i in range(500)]
    assert (holdout.contains(pairs) != holdout.contains("".join(p) for p in pairs)).any()


def test_the_sample_is_the_same_everywhere() -> None:
    """Artifacts outlive processes and releases: this must never change."""
    assert np.flatnonzero(Holdout(0.1).contains(range(60))).tolist() == [18, 21, 32, 33, 37, 58]


def test_salt_and_fraction() -> None:
    keys = range(1000)
    assert (Holdout(0.3).contains(keys) != Holdout(0.3, salt="x").contains(keys)).any()
    small, large = Holdout(0.1).contains(keys), Holdout(0.3).contains(keys)
    assert (large | ~small).all()  # a larger fraction only adds entities


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_fraction_is_a_share(fraction: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        Holdout(fraction)


def test_no_keys() -> None:
    assert Holdout().contains([]).shape == (0,)


@pytest.mark.parametrize("keys", [[7, 7.0], np.array([7.0]), [("de", np.float32(7))]])
def test_a_float_is_no_key(keys: list[object]) -> None:
    """7 and 7.0 are one entity, with two texts."""
    with pytest.raises(EntityKeyError, match=r"7\.0.* is a float; expected integers or text"):
        Holdout(0.5).contains(keys)
