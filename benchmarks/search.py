"""Vector search on version 0, served from the newest version's vectors.

Usage: python -m benchmarks.search [--entities N ...] [--dim D] [--versions K] [--stores S ...]

The nearest `--top-k` entities of a random query, calls in turns, in each online store:

- stock: `provider: local` over a precomputed table, where Feast has a search there (PostgreSQL with
  pgvector).
- materialized: version 0's view. Redis and SQLite are scanned; pgvector is asked as stock asks it.
- on_read: the same view served from native vectors of the newest version, that a tenth of the
  entities lacks. Products with pgvector are answered by the newest native vectors, the query pulled
  back through the chain; everything else is scanned.

Recall is the share of the entities that brute force over the same vectors finds; a scan and a
pulled-back query are exact. "CPU s" is of this process, without the store's server. "/ read" is
over a floor: reading all values of the store as bytes, and nothing more.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore

from benchmarks.harness import Report, Times, paired, parser
from benchmarks.postgres_server import connect, postgres_server
from benchmarks.redis_server import RedisServer
from benchmarks.workload import EPOCH, NAME, PROVIDER, Workload, make_store
from feast_bc.columns.arrays import Matrix
from feast_bc.columns.instants import to_micros
from feast_bc.online.request import STATES, VALUES, Request, Wanted
from feast_bc.online.stores import access

VIEW, PLAIN = f"{NAME}_v0", "precomputed_v0"
HEADER = ["entities", "store", "metric", "side", "seconds", "CPU s", "/ stock", "/ read", "recall"]
METRICS = ("inner_product", "L2", "cosine")
STORES = ("redis", "sqlite", "pgvector")
LACKING = 10
"""One in so many entities has no vector of the newest version."""


@contextlib.contextmanager
def online(store: str, folder: Path) -> Iterator[dict[str, Any] | None]:
    """Feast's configuration of an online store with a server of its own; None for SQLite."""
    if store == "redis":
        with RedisServer(folder) as server:
            yield {"type": "redis", "connection_string": server.address}
    elif store == "pgvector":
        with postgres_server(folder / "postgres") as server:
            with connect(server) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            yield {"type": "postgres", **server, "vector_enabled": True}
    else:
        yield None


def lacking(work: Workload) -> None:
    """Take the newest version's vectors from a tenth of the entities."""
    path = work.folder / f"native_v{work.versions - 1}.parquet"
    table = pq.read_table(path)
    keep = np.arange(len(table)) % LACKING != 0
    pq.write_table(table.filter(pa.array(keep)), path)


def stores(work: Workload, config: dict[str, Any] | None, stock: bool) -> dict[str, FeatureStore]:
    """A store per side, materialized; each side's tables are of a project of their own."""
    made = {}
    for side in ("materialized", "on_read"):
        embedding = work.embedding(serving=side)
        lacking(work)
        views = embedding.feature_views()
        made[side] = make_store(
            work.folder / side, PROVIDER, [work.entity, *views.values()], online=config
        )
        needed = [VIEW] if side == "materialized" else list(views)
        made[side].materialize(EPOCH, work.after, feature_views=needed)
    if stock:
        plain = work.precomputed(PLAIN, [work.versions - 1], 0)
        plain_store = make_store(work.folder / "stock", "local", [work.entity, plain], config)
        plain_store.materialize(EPOCH, work.after)
        made["stock"] = plain_store
    return made


def search(
    store: FeatureStore, view: str, metric: str, query: np.ndarray, count: int
) -> Mapping[int, float]:
    """Users and their distances."""
    response = store.retrieve_online_documents_v2(
        features=[f"{view}:embedding"],
        query=query.tolist(),
        top_k=count,
        distance_metric=metric,
    ).to_dict()
    return dict(zip(response["user_id"], response["distance"], strict=True))


def values(work: Workload) -> Matrix:
    """Version 0's values of all entities, by the rule."""
    out = np.empty((work.entities, work.dim), np.float32)
    newest = work.versions - 1
    for version in (newest - 1, newest):
        table = pq.read_table(work.folder / f"native_v{version}.parquet")
        native = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, work.dim)
        chain = work.chain(version, 0)
        ids = table["user_id"].to_numpy()
        for start in range(0, len(ids), 100_000):
            some = native[start : start + 100_000]
            out[ids[start : start + 100_000]] = some if chain is None else chain.apply(some)
    return out


def brute(values: Matrix, metric: str, query: np.ndarray, count: int) -> set[int]:
    """The nearest entities."""
    products = values @ query
    squares = np.einsum("ij,ij->i", values, values)
    distance = {
        "inner_product": -products,
        "cosine": -products / np.sqrt(squares),
        "L2": squares - 2 * products,
    }[metric]
    return set(np.argpartition(distance, count)[:count].tolist())


def read_all(store: FeatureStore, wanted: Wanted, first: Wanted) -> None:
    """Read one stored view of every entity as bytes."""
    view = store.get_feature_view(VIEW)
    inner = store.provider.online_store
    reader = access(inner).reader
    for keys in reader(inner, store.config, view, []).entities(first):
        reader(inner, store.config, view, keys).read(Request((wanted,)))


def measure(work: Workload, store: str, arguments: argparse.Namespace) -> list[list[object]]:
    """Rows of the table for one store."""
    count = arguments.top_k
    query = np.random.default_rng(7).standard_normal(work.dim, np.float32)
    with online(store, work.folder) as config:
        made = stores(work, config, stock=store == "pgvector")
        truth = values(work)
        newest = Wanted("natives", work.versions - 1)
        floors: dict[str, Callable[[], object]] = {
            "read, materialized": partial(read_all, made["materialized"], VALUES, VALUES),
            "read, on_read": partial(read_all, made["on_read"], newest, STATES),
        }
        rows: list[list[object]] = []
        with patch("feast_bc.clock.now", return_value=to_micros(work.after)):
            for metric in arguments.metrics:
                cases = {
                    side: partial(
                        search, each, PLAIN if side == "stock" else VIEW, metric, query, count
                    )
                    for side, each in made.items()
                }
                times = paired({**cases, **floors}, arguments.runs)
                wanted = brute(truth, metric, query, count)
                for side, case in cases.items():
                    recall = len(wanted & set(case())) / count
                    rows.append(
                        [work.entities, store, metric, side, *_figures(times, side, recall)]
                    )
        for each in made.values():  # what Feast leaves open
            if (opened := getattr(each.provider.online_store, "_conn", None)) is not None:
                opened.close()
        return rows


def _figures(times: Times, side: str, recall: float) -> list[object]:
    floor = f"read, {side}"
    return [
        times.median(side),
        float(np.median(times.cpu[side])),
        times.ratio(side, "stock") if "stock" in times.wall else float("nan"),
        times.ratio(side, floor) if floor in times.wall else float("nan"),
        # A precomputed table has the entities that the newest version lacks as null.
        float("nan") if side == "stock" else recall,
    ]


def main(arguments: argparse.Namespace) -> None:
    report = Report("search", arguments)
    rows: list[list[object]] = []
    for entities in arguments.entities:
        for store in arguments.stores:
            with tempfile.TemporaryDirectory() as folder:
                work = Workload(Path(folder), entities, arguments.versions, arguments.dim)
                rows += measure(work, store, arguments)
    report.table(
        f"Search for the nearest {arguments.top_k} of {arguments.dim} dimensions, version 0 served "
        f"over {arguments.versions - 1} hop(s)",
        HEADER,
        rows,
    )


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__, runs=3)
    made.add_argument("--entities", type=int, nargs="+", default=[100_000, 1_000_000])
    made.add_argument("--dim", type=int, default=128, help="(%(default)s)")
    made.add_argument("--versions", type=int, default=2, help="(%(default)s)")
    made.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    made.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    made.add_argument("--top-k", type=int, default=10, help="(%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
