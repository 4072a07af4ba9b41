"""Materialization of a whole versioned embedding, against stock Feast and against the floor.

Usage: python -m benchmarks.materialize [--entities N ...] [--versions N] [--dim D] [--runs N]

All version views of one family are served from the newest version's native vectors.

- stock: `provider: local` over one precomputed table per view, the same online store.
- floor: the store alone, given ready bytes of the same sizes. Redis: one socket that sends packed
  HSET commands of one field per view in pipelines and reads the replies, as redis-benchmark does.
  SQLite: one transaction of `executemany` per view into Feast's schema, in key order.

Before each timing the online store is emptied. Sizes after the first are not timed against stock:
they show whether rows/s and memory hold.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import redis
from feast import FeatureStore

from benchmarks import floor
from benchmarks.harness import Report, paired, parser, peak_rss
from benchmarks.redis_server import RedisServer
from benchmarks.workload import NAME, PROVIDER, USER, Workload, computed, make_store

STORES = ("redis", "sqlite")
HEADER = ("entities", "side", "s", "rows/s", "stock/side", "side/floor", "peak MiB")


def materialize(folder: Path, until: Any) -> None:
    """A full materialization in an already applied repo."""
    store = FeatureStore(str(folder))
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        store.materialize(computed(0), until)


def online_config(kind: str, folder: Path, address: str) -> dict[str, Any]:
    if kind == "redis":
        return {"type": "redis", "connection_string": address}
    return {"type": "sqlite", "path": str(folder / "online.db")}


def empty(kind: str, folder: Path, address: str) -> None:
    """Put an online store back to what it was after `feast apply`."""
    if kind == "redis":
        host, port = address.split(":")
        with redis.Redis(host, int(port)) as client:
            client.flushall()
        return
    database, fresh = folder / "online.db", folder / "fresh.db"
    if not fresh.exists():
        shutil.copy(database, fresh)
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    shutil.copy(fresh, database)


def online_vectors(folder: Path, views: list[str], ids: list[int]) -> np.ndarray:
    found = FeatureStore(str(folder)).get_online_features(
        [f"{view}:embedding" for view in views],
        [{"user_id": i} for i in ids],
        full_feature_names=True,
    )
    answer = found.to_dict()
    return np.array([answer[f"{view}__embedding"] for view in views], np.float32)


def measure(
    kind: str, work: Workload, address: str, arguments: argparse.Namespace, *, stock: bool
) -> list[list[object]]:
    """The rows of the table for one store and size."""
    names = {
        "ours": [f"{NAME}_v{j}" for j in range(work.versions)],
        "stock": [f"plain_v{j}" for j in range(work.versions)],
    }
    folders = {side: work.folder / f"{side}_{kind}" for side in names}
    views = work.embedding().feature_views().values()
    online = online_config(kind, folders["ours"], address)
    make_store(folders["ours"], PROVIDER, [USER, *views], online)
    cases: dict[str, Callable[[], object]] = {
        "ours": partial(materialize, folders["ours"], work.after)
    }
    if stock:
        newest = [work.versions - 1]
        plain = [work.precomputed(name, newest, j) for j, name in enumerate(names["stock"])]
        online = online_config(kind, folders["stock"], address)
        make_store(folders["stock"], "local", [USER, *plain], online)
        cases["stock"] = partial(materialize, folders["stock"], work.after)
        ids = [0, work.entities // 2, work.entities - 1]
        found = {}
        for side, case in cases.items():
            empty(kind, folders[side], address)
            case()
            found[side] = online_vectors(folders[side], names[side], ids)
        np.testing.assert_allclose(found["ours"], found["stock"], rtol=1e-4, atol=1e-4)
    if kind == "redis":
        cases["floor"] = floor.redis_floor(work, address)
    else:
        cases["floor"] = floor.sqlite_floor(work)

    def before() -> None:
        for folder in folders.values():
            if folder.exists():
                empty(kind, folder, address)

    times = paired(cases, arguments.runs, before=before, warm=False)
    rows = work.entities * work.versions
    table: list[list[object]] = []
    for side, case in cases.items():
        before()
        measured = arguments.memory and side != "floor"
        table.append(
            [
                work.entities,
                side,
                times.median(side),
                rows / times.median(side),
                times.ratio("stock", side) if stock else float("nan"),
                times.ratio(side, "floor"),
                peak_rss(case) if measured else float("nan"),
            ]
        )
    return table


def main(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("FEAST_USAGE", "False")
    report = Report("materialize", arguments)
    title = f"{arguments.versions} version views x {arguments.dim}, full materialization"
    with tempfile.TemporaryDirectory() as scratch, RedisServer(Path(scratch)) as server:
        for kind in arguments.stores:
            rows: list[list[object]] = []
            for entities in arguments.entities:
                with tempfile.TemporaryDirectory() as folder:
                    work = Workload(Path(folder), entities, arguments.versions, arguments.dim)
                    first = entities == arguments.entities[0]
                    rows += measure(kind, work, server.address, arguments, stock=first)
            report.table(f"{kind}: {title}", HEADER, rows)


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument(
        "--entities", type=int, nargs="+", default=[100_000, 1_000_000], help="(%(default)s)"
    )
    made.add_argument("--versions", type=int, default=5, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=128, help="(%(default)s)")
    made.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
