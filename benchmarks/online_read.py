"""Online reads of version 0, served from the newest version's vectors, against stock Feast.

Usage: python -m benchmarks.online_read [--batches N ...] [--dims D ...] [--calls N]

One process, Redis, requests of B random entities, calls in turns:

- stock: `provider: local` over a precomputed table; `get_online_features(...).to_dict()`.
- stock, as an array: the same, and its lists as one float32 matrix, as a model takes them.
- materialized, on_read: stock's call on a version view, in each of the two servings; on_read
  applies the folded chain of all hops.
- online_vectors: `feast_bc.online_vectors` in each serving: a matrix and a mask.
- on-demand hop: a stock on-demand view that applies a single hop, for the record.

Then `feast serve` with many clients at once, rounds in turns: stock and both servings.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from feast import FeatureStore, FeatureView, Field
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.transformation.pandas_transformation import PandasTransformation
from feast.types import Array, Float32

from benchmarks.harness import Latency, Report, paired_calls, parser
from benchmarks.http_load import Load, serve
from benchmarks.redis_server import RedisServer
from benchmarks.workload import NAME, PROVIDER, USER, Workload, computed, make_store
from feast_bc import online_vectors

VIEW = f"{NAME}_v0"
PLAIN = "plain_v0"
SERVINGS = ("materialized", "on_read")
HEADER = (
    *("dim", "batch", "read", "p50 ms", "p99 ms", "p50 to stock", "CPU to stock"),
    *("stock array to p50", "stock array to CPU"),
)
SERVED = ("dim", "batch", "serving", "requests/s", "p50 ms", "p99 ms", "requests/s to stock")


def on_demand_hop(view: FeatureView, work: Workload) -> OnDemandFeatureView:
    """One hop as a user of stock Feast can write it.

    Feast runs the function again from its text, so the weights come from a file; and on `apply`
    it tries the function on a vector of one element.
    """
    path = work.folder / "hop.npy"
    np.save(path, work.backward(1).weight)
    source = (
        "def hop(inputs):\n"
        "    import numpy, pandas\n"
        f"    weight = numpy.load({str(path)!r}, mmap_mode='r')\n"
        "    vectors = numpy.array(inputs['embedding'].tolist(), 'float32')\n"
        "    hopped = vectors @ weight[:, :vectors.shape[1]].T\n"
        "    return pandas.DataFrame({'hopped': hopped.tolist()})\n"
    )
    scope: dict[str, Callable[..., object]] = {}
    exec(source, scope)  # noqa: S102 - our own text, above
    return OnDemandFeatureView(
        name="hop",
        sources=[view],
        schema=[Field(name="hopped", dtype=Array(Float32))],
        feature_transformation=PandasTransformation(scope["hop"], source),
        mode="pandas",
    )


def make_stores(work: Workload, address: str) -> dict[str, FeatureStore]:
    """Stock and both servings, each a materialized project in the same Redis."""
    online = {"type": "redis", "connection_string": address}
    plain = work.precomputed(PLAIN, [work.versions - 1], 0)
    stores = {
        "stock": make_store(
            work.folder / "stock", "local", [USER, plain, on_demand_hop(plain, work)], online
        )
    }
    for serving in SERVINGS:
        views = work.embedding(serving=serving).feature_views().values()
        stores[serving] = make_store(work.folder / serving, PROVIDER, [USER, *views], online)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        for store in stores.values():
            store.materialize(computed(0), work.after)
    # Feast keeps one request cache per process and empties it when it meets a registry of another
    # age: stores that take turns would all read their views anew on every call.
    created = stores["stock"].registry.cached_registry_proto_created
    for store in stores.values():
        store.registry.cached_registry_proto_created = created
    return stores


def reads(
    stores: Mapping[str, FeatureStore], ids: Callable[[], list[int]]
) -> dict[str, Callable[[], object]]:
    """What is timed, by name; each call asks for other entities."""

    def get(store: FeatureStore, ref: str) -> list[list[float]]:
        rows = [{"user_id": i} for i in ids()]
        answer = store.get_online_features([ref], rows).to_dict()
        vectors: list[list[float]] = answer[ref.split(":")[1]]
        return vectors

    def array(store: FeatureStore, ref: str) -> np.ndarray:
        return np.array(get(store, ref), np.float32)

    def matrix(store: FeatureStore) -> np.ndarray:
        return online_vectors(store, VIEW, ids())[0]

    return {
        "stock": partial(get, stores["stock"], f"{PLAIN}:embedding"),
        "stock, as an array": partial(array, stores["stock"], f"{PLAIN}:embedding"),
        **{side: partial(get, stores[side], f"{VIEW}:embedding") for side in SERVINGS},
        **{f"online_vectors, {side}": partial(matrix, stores[side]) for side in SERVINGS},
        "on-demand hop": partial(get, stores["stock"], "hop:hopped"),
    }


def check_equal(stores: Mapping[str, FeatureStore], entities: int) -> None:
    """All reads but the single hop give the same vectors."""
    found = reads(stores, lambda: [0, entities // 2, entities - 1])
    for name, read in found.items():
        if name != "on-demand hop":
            expected = np.array(found["stock"](), np.float32)
            got = np.array(read(), np.float32)
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3, err_msg=name)


def latencies(
    stores: Mapping[str, FeatureStore], work: Workload, batch: int, calls: int
) -> list[list[object]]:
    """The rows of the table for one dimension and batch size."""
    rng = np.random.default_rng(0)
    cases = reads(stores, lambda: rng.integers(0, work.entities, batch).tolist())
    # The on-demand hop leaves the machine in a state that the fast reads after it would pay for.
    alone = {name: cases.pop(name) for name in ["on-demand hop"]}
    found = {**paired_calls(cases, calls), **paired_calls(alone, calls)}
    stock, array = found["stock"], found["stock, as an array"]
    return [
        [
            *(work.dim, batch, name, each.p50, each.p99),
            *(each.p50 / stock.p50, each.cpu / stock.cpu),
            *(array.p50 / each.p50, array.cpu / each.cpu),
        ]
        for name, each in found.items()
    ]


def served(work: Workload, arguments: argparse.Namespace) -> list[list[object]]:
    """Rows of the table of `feast serve`; the servers stand at the same time, one is asked."""
    views = {"stock": PLAIN, **dict.fromkeys(SERVINGS, VIEW)}
    rates: dict[str, list[float]] = {side: [] for side in views}
    latency: dict[str, list[Latency]] = {side: [] for side in views}
    with contextlib.ExitStack() as stack:
        ports = {side: stack.enter_context(serve(work.folder / side))[0] for side in views}
        for i in range(-1, arguments.runs):
            for side, view in views.items():
                load = Load(
                    arguments.clients,
                    arguments.requests,
                    view,
                    arguments.served_batch,
                    work.entities,
                )
                rate, each = load.run(ports[side])
                if i >= 0:
                    rates[side].append(rate)
                    latency[side].append(each)
    return [
        [
            work.dim,
            arguments.served_batch,
            side,
            float(np.median(rates[side])),
            float(np.median([each.p50 for each in latency[side]])),
            float(np.median([each.p99 for each in latency[side]])),
            float(np.median(np.divide(rates[side], rates["stock"]))),
        ]
        for side in views
    ]


def main(arguments: argparse.Namespace) -> None:
    report = Report("online_read", arguments)
    rows: list[list[object]] = []
    concurrent: list[list[object]] = []
    for dim in arguments.dims:
        with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
            work = Workload(Path(folder), arguments.entities, arguments.versions, dim)
            stores = make_stores(work, server.address)
            check_equal(stores, work.entities)
            for batch in arguments.batches:
                rows += latencies(stores, work, batch, arguments.calls)
            if arguments.clients:
                concurrent += served(work, arguments)
    hops = arguments.versions - 1
    report.table(
        f"Online reads over a chain of {hops} hops, Redis, {arguments.calls} calls each",
        HEADER,
        rows,
    )
    if concurrent:
        report.table(f"feast serve, {arguments.clients} clients", SERVED, concurrent)


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--entities", type=int, default=10_000, help="(%(default)s)")
    made.add_argument("--versions", type=int, default=5, help="(%(default)s)")
    made.add_argument("--dims", type=int, nargs="+", default=[128, 768], help="(%(default)s)")
    made.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100, 500])
    made.add_argument("--calls", type=int, default=300, help="of each read (%(default)s)")
    made.add_argument("--clients", type=int, default=32, help="0: no server (%(default)s)")
    made.add_argument("--requests", type=int, default=20, help="of each client, a round")
    made.add_argument("--served-batch", type=int, default=10, help="entities in a request")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
