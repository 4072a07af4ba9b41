"""Which files are ONNX models."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from feast_bc.contracts.onnx_model import read_onnx_model
from feast_bc.errors import ContractError
from tests.support.onnx_bytes import LINEAR


def test_scores_are_what_the_model_says() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    scores = read_onnx_model(LINEAR, 3, of="m").predict(vectors)
    np.testing.assert_allclose(scores[:, 0], vectors @ [1, 2, 3] + 0.5, rtol=1e-5)


def test_a_model_of_other_vectors_and_what_is_none() -> None:
    with pytest.raises(ContractError, match=r"m takes .*expected one input.*\(n, 4\)"):
        read_onnx_model(LINEAR, 4, of="m")
    for data in (b"", b"no model", LINEAR[:50]):
        with pytest.raises(ContractError, match="m is no ONNX model that onnxruntime runs"):
            read_onnx_model(data, 3, of="m")


def test_without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ContractError, match=r"pip install 'feast-bc\[onnx\]'"):
        read_onnx_model(LINEAR, 3, of="m")
