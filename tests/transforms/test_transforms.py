from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.errors import ChainGapError, DimensionError, DirectionError, InvalidVectorsError
from feast_bc.transforms import (
    AffineTransform,
    BackwardTransform,
    ChainTransform,
    MLPTransform,
    TruncationTransform,
    compose,
)
from tests.support.links import affine, mlp, truncation


@st.composite
def chains(draw: st.DrawFn) -> list[BackwardTransform]:
    """1 to 5 links of any kind, newest first, with dimensions that grow and shrink."""
    dims = draw(st.lists(st.integers(1, 9), min_size=2, max_size=6))
    links: list[BackwardTransform] = []
    for k in range(len(dims) - 1, 0, -1):
        kinds = ["affine", "linear", "mlp"] + ["truncation"] * (dims[k] >= dims[k - 1])
        kind, seed = draw(st.sampled_from(kinds)), draw(st.integers(0, 99))
        if kind == "truncation":
            links.append(truncation(k, dims[k], dims[k - 1]))
        elif kind == "mlp":
            links.append(mlp(k, dims[k], dims[k - 1], seed=seed))
        else:
            links.append(affine(k, dims[k], dims[k - 1], bias=kind == "affine", seed=seed))
    return links


@given(chain=chains(), rows=st.integers(0, 7), split=st.integers(0, 5))
@settings(max_examples=200)
def test_folded_chain_equals_step_by_step(
    chain: list[BackwardTransform], rows: int, split: int
) -> None:
    vectors = np.random.default_rng(1).normal(size=(rows, chain[0].from_dim)).astype(np.float32)
    expected = vectors
    for step in chain:
        expected = step.apply(expected)
    folded = compose(chain)
    assert (folded.from_version, folded.to_version) == (len(chain), 0)
    np.testing.assert_allclose(folded.apply(vectors), expected, rtol=1e-3, atol=1e-4)
    parts = [compose(part) for part in (chain[:split], chain[split:]) if part]
    np.testing.assert_allclose(compose(parts).apply(vectors), expected, rtol=1e-3, atol=1e-4)


def test_runs_of_affine_members_fold_into_one_matrix() -> None:
    chain = compose([affine(4, 6, 5), truncation(3, 5, 4), mlp(2, 4, 4), affine(1, 4, 3)])
    assert isinstance(chain, ChainTransform)
    assert [type(step) for step in chain.steps] == [AffineTransform, MLPTransform, AffineTransform]
    assert isinstance(compose([affine(2, 4, 3), affine(1, 3, 2)]), AffineTransform)
    assert isinstance(compose([truncation(2, 4, 3), truncation(1, 3, 2)]), TruncationTransform)


def test_affine_is_torch_linear_by_definition() -> None:
    transform = AffineTransform(
        np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([10.0, 20]), from_version=1, to_version=0
    )
    out = transform.apply(np.array([[1.0, 0.0, -1.0]]))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, [[8, 18]])


def test_mlp_has_relu_between_layers_only() -> None:
    layers = [(np.array([[sign]]), np.array([0.0])) for sign in (1.0, -1.0)]
    transform = MLPTransform(layers, from_version=1, to_version=0)
    np.testing.assert_array_equal(transform.apply(np.array([[2.0], [-2.0]])), [[-2], [0]])


def test_truncation_keeps_the_first_coordinates() -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(truncation(1, 3, 2).apply(vectors), [[0, 1], [3, 4]])


@pytest.mark.parametrize("rows", [3, 100])
@pytest.mark.parametrize("to_dim", [2, 4])
def test_apply_shares_no_memory_with_its_input(rows: int, to_dim: int) -> None:
    vectors = np.ones((rows, 4), np.float32)
    steps = [truncation(2, 4, 4), mlp(1, 4, to_dim)]
    links = [affine(1, 4, to_dim), affine(1, 4, to_dim, bias=False), mlp(1, 4, to_dim)]
    for transform in (*links, truncation(1, 4, to_dim), compose(steps)):
        out = transform.apply(vectors)
        assert not np.shares_memory(out, vectors)
        out[:] = 7
        assert (vectors == 1).all()


def test_apply_arrow_keeps_nulls() -> None:
    column = pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float64()))
    assert truncation(1, 2, 1).apply_arrow(column).to_pylist() == [[1.0], None, [3.0]]


@pytest.mark.parametrize("versions", [(0, 1), (1, 1), (0, -1)])
def test_direction_is_from_newer_to_older(versions: tuple[int, int]) -> None:
    with pytest.raises(DirectionError, match=f"{versions[0]} -> {versions[1]}"):
        AffineTransform(np.eye(2), from_version=versions[0], to_version=versions[1])


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ([], ChainGapError, "at least one"),
        ([affine(3, 2, 2), affine(1, 2, 2)], ChainGapError, "version 2 is missing"),
        ([affine(1, 2, 2), affine(2, 2, 2)], DirectionError, "newest version first"),
        ([affine(2, 2, 3), affine(1, 2, 2)], DimensionError, "3 dimensions"),
    ],
)
def test_compose_refuses_what_is_no_chain(
    steps: list[BackwardTransform], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        compose(steps)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: truncation(1, 2, 3), DimensionError, "cannot grow"),
        (lambda: truncation(1, 2, 0), DimensionError, "from 1 to 16384"),
        (lambda: MLPTransform([], from_version=1, to_version=0), DimensionError, "1 layer"),
        (
            lambda: AffineTransform(np.eye(2), np.ones(3), from_version=1, to_version=0),
            DimensionError,
            r"expected \(2,\)",
        ),
        (
            lambda: AffineTransform(np.ones(2), from_version=1, to_version=0),
            DimensionError,
            "expected 2 dimension",
        ),
        (
            lambda: AffineTransform(np.array([[np.nan]]), from_version=1, to_version=0),
            InvalidVectorsError,
            "diverged",
        ),
        (
            lambda: MLPTransform(
                [(np.eye(2), np.zeros(2)), (np.eye(3), np.zeros(3))], from_version=1, to_version=0
            ),
            DimensionError,
            "layer 1",
        ),
    ],
)
def test_malformed_transformations_are_refused(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 1)])
def test_apply_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(DimensionError, match="Pass vectors of version 1"):
        affine(1, 4, 2).apply(np.zeros(shape))


def test_a_composition_is_not_saved_as_one() -> None:
    chain = compose([mlp(2, 3, 3), mlp(1, 3, 3)])
    with pytest.raises(TypeError, match="one by one"):
        chain.tensors()
    with pytest.raises(TypeError, match="steps"):
        ChainTransform.from_tensors({}, from_version=2, to_version=0)
