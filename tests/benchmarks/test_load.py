"""The load test tells right vectors from wrong ones, and runs at a toy size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import load
from benchmarks.load_world import Answer, Period, World, lateness

WORLD = World(entities=30, dim=8, versions=4)
IDS = np.array([3, 7, 11])


def test_a_vector_tells_its_version_and_its_space() -> None:
    z3 = WORLD.native(3)[IDS]
    z2 = WORLD.backward(3).apply(z3)
    z1 = WORLD.backward(2).apply(z2)
    z0 = WORLD.backward(1).apply(z1)
    assert WORLD.sources(0, IDS, 2 * z0) == [3, 3, 3]  # pushed
    assert WORLD.sources(1, IDS, z1) == [3, 3, 3]
    assert WORLD.sources(0, IDS, WORLD.native(0)[IDS]) == [0, 0, 0]
    mixed = np.stack([z0[0], z1[1], (z0[2] + WORLD.native(0)[11]) / 2])
    assert WORLD.sources(0, IDS, mixed) == [3, None, None]
    torn = np.concatenate([z0[:, :4], WORLD.native(0)[IDS][:, 4:]], axis=1)
    assert WORLD.sources(0, IDS, torn) == [None] * 3
    assert WORLD.sources(0, IDS[::-1], z0)[::2] == [None, None]  # of other entities
    assert WORLD.sources(1, IDS, WORLD.backward(2).apply(WORLD.native(2)[IDS]) * 0) == [None] * 3


@pytest.mark.parametrize(
    ("began", "sources", "late"),
    [
        (11, {(0, 0), (1, 2)}, 1),
        (16, {(0, 0)}, 6),
        (16, {(0, 2), (1, 2)}, 0),
        (30, {(0, 1), (1, 1)}, 0),
        (30, {(1, 2)}, 10),
        (16, {(0, 1)}, float("inf")),  # it serves from 19 on
    ],
)
def test_versions_count_while_they_serve(
    began: float, sources: set[tuple[int, int]], late: float
) -> None:
    periods = [Period(0, 0, 10), Period(2, 9, 20), Period(1, 19)]
    assert lateness(Answer(began, began + 1, "on_read", frozenset(sources)), periods) == late


def test_a_server_under_load(tmp_path: Path) -> None:
    sizes = "--minutes .15 --every 1.5 --clients 3 --workers 1 --entities 40 --dim 4 --pause .05"
    sizes += " --lag 600"  # how late a busy machine answers is not looked at here
    load.main(load.command_line().parse_args([*sizes.split(), "--output", str(tmp_path)]))
    [row] = json.loads((tmp_path / "load.json").read_text())["tables"][0]["rows"]
    assert row["requests"] > 10
