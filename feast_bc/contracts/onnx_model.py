"""A frozen model in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from feast_bc.columns.arrays import Matrix
from feast_bc.errors import ContractError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_FLOATS = ("tensor(float)", "tensor(double)")


@dataclass(frozen=True)
class OnnxModel:
    """A model of one float input, of shape `(n, D_j)`.

    Attributes:
        session: runs it, on the CPU.
        input: the input's name.
        output: the name of the only output with floats.
    """

    session: InferenceSession
    input: str
    output: str

    def predict(self, vectors: Matrix) -> npt.NDArray[np.float64]:
        """Scores of shape `(n,)` or `(n, C)` for vectors of shape `(n, D_j)`."""
        (scores,) = self.session.run([self.output], {self.input: vectors})
        return np.asarray(scores, np.float64)


def read_onnx_model(data: bytes, dim: int, *, of: str) -> OnnxModel:
    """Read a model whose input are vectors and whose only output with floats are scores.

    A classifier's labels beside them are left alone. Exported from scikit-learn, it has
    probabilities as a tensor with `options={"zipmap": False}`.

    Args:
        data: the bytes of the model.
        dim: D_j.
        of: the file, for error messages.

    Raises:
        ContractError: it is no such model, or `onnxruntime` is missing.
    """
    try:
        from onnxruntime import InferenceSession
    except ImportError as error:
        raise ContractError(
            f"{of} needs the package onnxruntime ({error}). Install it: pip install "
            "'feast-bc[onnx]'."
        ) from None
    try:
        session = InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises several kinds, with no common base
        raise ContractError(
            f"{of} is no ONNX model that onnxruntime runs ({type(error).__name__}: {error})."
        ) from error
    inputs = [(each.name, each.type, list(each.shape)) for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs() if each.type in _FLOATS]
    fits = len(inputs) == 1 and inputs[0][1] == _FLOATS[0] and len(inputs[0][2]) == 2
    if not fits or (isinstance(inputs[0][2][1], int) and inputs[0][2][1] != dim):
        raise ContractError(
            f"{of} takes {inputs}; expected one input, tensor(float) of shape (n, {dim}). Is it a "
            "model of this version?"
        )
    if len(outputs) != 1:
        raise ContractError(
            f"{of} has {len(outputs)} outputs with floats; expected one, the scores. A classifier "
            "of scikit-learn is exported with options={'zipmap': False}."
        )
    return OnnxModel(session, inputs[0][0], outputs[0])
