"""Neighbourhoods against the dense adjacency."""

import numpy as np
import scipy.sparse as sp
import torch

from tests.support.adjacency import adjacency
from training.encoders.graph import Graph
from training.interactions.history import History

CPU = torch.device("cpu")


def test_mean_and_normalised_are_the_dense_products(early: History) -> None:
    dense = adjacency(early)
    degree = dense.sum(dim=1, keepdim=True)
    vectors = torch.randn(len(dense), 3, generator=torch.Generator().manual_seed(0))
    graph = Graph.of(early.bought, CPU)
    torch.testing.assert_close(graph.mean(vectors), dense @ vectors / degree)
    expected = dense / degree.sqrt() / degree.T.sqrt() @ vectors
    torch.testing.assert_close(graph.normalised(vectors), expected)


def test_nodes_without_neighbours_get_zero() -> None:
    bought = sp.csr_matrix(np.array([[1, 0], [0, 0]], np.float32))
    graph = Graph.of(bought, CPU)
    expected = torch.tensor([[3.0], [0.0], [1.0], [0.0]])
    vectors = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    torch.testing.assert_close(graph.mean(vectors), expected)
    torch.testing.assert_close(graph.normalised(vectors), expected)
