"""Previous vectors from the previous model."""

import pytest
import torch

from feast_bc.alignment import frozen_vectors
from tests.support.tensors import normal


def test_in_eval_mode_without_gradient_and_modes_are_put_back() -> None:
    shared = torch.nn.BatchNorm1d(3).double().eval()
    model = torch.nn.Sequential(torch.nn.Linear(3, 3).double(), shared, torch.nn.Dropout(0.5))
    modes = [True, True, False, True]  # the model, and its three parts
    assert [m.training for m in model.modules()] == modes
    vectors = normal(5, 3)
    expected = model[1](model[0](vectors))
    found = frozen_vectors(model, vectors)
    torch.testing.assert_close(found, expected.detach())
    assert not found.requires_grad
    assert [m.training for m in model.modules()] == modes


def test_modes_are_put_back_after_an_error() -> None:
    model = torch.nn.Linear(3, 2)
    with pytest.raises(RuntimeError):
        frozen_vectors(model, normal(5, 4).float())
    assert model.training
