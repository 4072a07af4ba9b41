"""Every benchmark runs at toy sizes; each checks for itself that both sides give equal vectors."""

from __future__ import annotations

import importlib
import json
from functools import partial
from pathlib import Path

import pytest

from benchmarks.harness import Times, paired

SIZES = {
    "historical": "--rows 60 --entities 20 --dim 4",
    "transform": "--rows 50 --dim 4 --hops 2",
    "materialize": "--entities 30 40 --versions 2 --dim 4",
    "online_writers": "--entities 20 --versions 2 --dim 4 --batches 3 --calls 2",
    "online_memory": "--entities 20 --versions 2 --dim 4 --rollbacks 0 1",
    "part_files": "--entities 30 --versions 2 --dim 4 --files 3",
    "postgres_source": "--entities 30 --versions 2 --dim 4",
    "search": "--entities 60 --versions 2 --dim 4",
    "metrics": "--entities 20 --versions 2 --dim 4 --batches 3 --calls 2",
    "online_read": "--entities 20 --versions 3 --dims 4 --batches 3 --calls 2"
    " --clients 2 --requests 2",
}
COMPARED = {
    "historical": {"history", "today"},
    "transform": {"bare product", "folded chain, Arrow to Arrow", "step by step, Arrow to Arrow"},
    "materialize": {"ours", "stock", "floor"},
    "online_writers": {"direct", "as read", "generic", "keys per view"},
    "online_memory": {"materialized", "on_read", "1, then 0"},
    "part_files": {"1", "3"},
    "postgres_source": {"materialize", "historical"},
    "search": {"redis", "sqlite", "pgvector", "stock", "materialized", "on_read"},
    "metrics": {"none", "closed", "Feast's", "open"},
    "online_read": {"stock", "materialized", "on_read", "online_vectors, on_read"},
}


@pytest.mark.parametrize("name", SIZES)
def test_prints_a_table_and_writes_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    options = [*SIZES[name].split(), "--runs", "2", "--no-memory", "--output", str(tmp_path)]
    module.main(module.command_line().parse_args(options))
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / f"{name}.json").read_text())
    assert written["arguments"]["runs"] == "2"
    for table in written["tables"]:
        assert table["title"] in printed
    cells = {
        str(cell) for table in written["tables"] for row in table["rows"] for cell in row.values()
    }
    assert COMPARED[name] <= cells


def test_ratios_are_taken_within_the_rounds() -> None:
    times = Times(
        {"ours": [1, 10, 3], "stock": [2, 20, 3]}, {"ours": [1, 1, 1], "stock": [4, 4, 4]}
    )
    assert times.ratio("ours", "stock") == 0.5
    assert times.cpu_ratio("stock", "ours") == 4


def test_cases_take_turns() -> None:
    order: list[str] = []
    times = paired({name: partial(order.append, name) for name in "ab"}, 30)
    rounds = {"".join(order[i : i + 2]) for i in range(0, len(order), 2)}
    assert rounds == {"ab", "ba"}
    assert len(order) == 2 * 31  # one round is a warm-up
    assert [len(times.wall[name]) for name in "ab"] == [30, 30]
