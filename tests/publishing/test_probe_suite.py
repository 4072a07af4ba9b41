"""The probe suite sees what breaks consumers, and names the kind that breaks."""

import numpy as np
import numpy.typing as npt
import pytest

from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.publishing.probe_suite import ProbeReport, probe_suite
from tests.support.presence import there

Vectors = npt.NDArray[np.float32]


def native(count: int = 1000, dim: int = 8, seed: int = 0) -> Vectors:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, dim)) @ rng.normal(size=(dim, dim))).astype(np.float32)


def noise(vectors: Vectors, level: float) -> Vectors:
    drawn = np.random.default_rng(1).normal(size=vectors.shape) * vectors.std(axis=0)
    noisy: Vectors = (vectors + level * drawn).astype(np.float32)
    return noisy


def test_native_vectors_lose_nothing() -> None:
    z = native()
    report = probe_suite(z, z)
    assert report == ProbeReport(500, 1.0, 1.0, 1.0, 1.0)
    assert report.agreement == 1.0


def test_the_more_noise_the_less_agreement() -> None:
    z = native()
    reports = [probe_suite(z, noise(z, level)) for level in (0.1, 0.4, 2.0)]
    for kind in ("logistic", "mlp", "trees"):
        values = [report.by_kind[kind] for report in reports]
        assert 1 > values[0] > values[1] > values[2]
    assert there(reports[0].agreement) > 0.9
    assert there(reports[2].agreement) < 0.6


def test_a_constant_and_a_turn_to_the_contrary() -> None:
    z = native()
    constant = probe_suite(z, np.broadcast_to(z.mean(axis=0), z.shape))
    assert constant.by_kind == {"logistic": 0.0, "mlp": 0.0, "trees": 0.0}
    opposite = probe_suite(z, 2 * z.mean(axis=0) - z)
    assert opposite.logistic == pytest.approx(-1, abs=1e-6)


def test_a_tiny_bias_breaks_trees_alone_where_half_the_vectors_are_zero() -> None:
    z = native()
    z[::2] = 0
    report = probe_suite(z, z + np.float32(1e-4))
    assert there(report.logistic) > 0.999
    assert there(report.mlp) > 0.999
    assert there(report.trees) < 0.9
    assert there(report.worst) < 0.5


def test_a_stretched_direction_breaks_models_that_the_error_passes() -> None:
    """One coordinate of little variance, of which the error says nothing."""
    z = native()
    z[:, 0] *= 1e-3 / z[:, 0].std()
    served = z.copy()
    served[:, 0] *= -300
    error = np.linalg.norm(served - z) / np.linalg.norm(z - z.mean(axis=0))
    assert error < 0.1
    assert there(probe_suite(z, served).agreement) < 0.9


def test_it_is_judged_on_the_entities_that_were_named() -> None:
    z = native()
    judged = np.arange(len(z)) % 5 == 0
    served = z.copy()
    served[~judged] = 0
    assert probe_suite(z, served, judged=judged) == ProbeReport(200, 1.0, 1.0, 1.0, 1.0)


def test_the_seed_decides_alone() -> None:
    z = native()
    served = noise(z, 0.3)
    report = probe_suite(z, served, 3)
    assert probe_suite(z.astype(np.float64), served, 3) == report
    assert probe_suite(z, served, 4) != report


@pytest.mark.parametrize("count", [0, 60])
def test_too_few_entities_tell_nothing(count: int) -> None:
    z = native(count)
    assert probe_suite(z, z) == ProbeReport(count - count // 2 if count else 0)


def test_equal_vectors_tell_nothing() -> None:
    z = np.full((400, 3), 0.25, np.float32)
    report = probe_suite(z, z)
    assert (report.agreement, report.worst) == (None, None)


def test_what_does_not_fit_is_refused() -> None:
    z = native(200)
    with pytest.raises(DimensionError, match=r"\(200, 8\) and \(200, 7\)"):
        probe_suite(z, z[:, :7])
    with pytest.raises(DimensionError, match=r"bool mask of shape \(200,\), got int64"):
        probe_suite(z, z, judged=np.zeros(200, np.int64))
    broken = z.copy()
    broken[3, 2] = np.nan
    with pytest.raises(InvalidVectorsError, match="NaN or infinity"):
        probe_suite(z, broken)
