"""`feast serve` under load while versions come and go; every vector is checked.

Usage: python -m benchmarks.load [--minutes M] [--clients N] [--every SECONDS] [--workers N]

Redis, a SQL registry, two embeddings: one materialized, one served on read. Clients read versions 0
and 1 of either over HTTP. Meanwhile a change every few seconds, in turns, each followed by
`feast apply` and a materialization: publish a version, activate it, push rows of it, roll it back,
activate it again.

- wrong: vectors that no version gives: of a mixed or foreign space, or torn.
- late: answers with a vector of a version that had ceased to serve so many seconds before: a server
  sees a new registry only after a while, of which `--lag` are allowed.
- refused: requests without an answer, and answers with a null.
- lost pushes: pushed rows that the server did not answer a lag later.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore, FileSource

from benchmarks.harness import Latency, Report, parser
from benchmarks.http_load import serve
from benchmarks.load_world import SERVINGS, Clients, Period, World, lateness, name_of
from benchmarks.redis_server import RedisServer
from benchmarks.workload import EPOCH, PROVIDER, USER
from feast_bc import EmbeddingCatalog, VersionedEmbedding
from feast_bc.columns.vectors import from_matrix

CHANGES = ("publish", "activate", "push", "roll back", "activate again")
REGISTRY_TTL = 1
"""Seconds after which a server looks at the registry."""

HEADER = ("requests", "vectors", "wrong", "late", "refused", "lost pushes", "p50 ms", "p99 ms")
LATE = ("serving", "answers", "of an older state", "worst, s", "99 in 100 within, s")
MEMORY = ("third", "MiB of all processes")


class Release:
    """The embedding team: two embeddings in a catalog, and a feature store over them.

    Args:
        folder: where everything goes.
        world: the vectors.
        redis: its address.
    """

    def __init__(self, folder: Path, world: World, redis: str) -> None:
        self.world = world
        self._folder = folder
        self._catalog = EmbeddingCatalog(folder / "catalog")
        config = {
            "project": "load",
            "provider": PROVIDER,
            "registry": {
                "registry_type": "sql",
                "path": f"sqlite:///{folder / 'registry.sqlite'}",
                "serve_features_while_materializing": True,
            },
            "offline_store": {"type": "duckdb"},
            "online_store": {"type": "redis", "connection_string": redis},
            "entity_key_serialization_version": 3,
        }
        (folder / "feature_store.yaml").write_text(json.dumps(config))  # JSON is YAML
        self._store = FeatureStore(str(folder))
        self._pushes = 1
        self.newest = 0
        self.publish()
        self.publish()

    def publish(self) -> None:
        k = self.newest if not self._catalog.embeddings() else self.newest + 1
        path = self._folder / f"v{k}.parquet"
        ids = np.arange(self.world.entities)
        when = pa.array([EPOCH + timedelta(seconds=k)] * len(ids), pa.timestamp("us", "UTC"))
        vectors = from_matrix(self.world.native(k))
        table = {"user_id": ids, "event_timestamp": when, "embedding": vectors}
        pq.write_table(pa.table(table), path)
        for serving in SERVINGS:
            self._catalog.publish(
                name_of(serving),
                k,
                source=FileSource(
                    name=f"{name_of(serving)}_v{k}_vectors",
                    path=str(path),
                    timestamp_field="event_timestamp",
                ),
                dim=self.world.dim,
                join_keys=["user_id"],
                transform=self.world.backward(k) if k else None,
            )
        self.newest = k
        self._take_effect()

    def activate(self) -> None:
        for serving in SERVINGS:
            self._catalog.activate(name_of(serving), self.newest)
        self._take_effect()

    def roll_back(self) -> None:
        for serving in SERVINGS:
            self._catalog.rollback(name_of(serving), self.newest)
        self._take_effect()

    def push(self) -> tuple[np.ndarray, int]:
        """Push a row of the newest version for some entities.

        Returns:
            The entities, and the length of their vectors.
        """
        self._pushes += 1
        ids = np.random.default_rng([2, self._pushes]).choice(
            self.world.entities, min(5, self.world.entities), replace=False
        )
        frame = pd.DataFrame(
            {
                "user_id": ids,
                "event_timestamp": pd.Timestamp.now(tz="UTC").floor("s"),
                "embedding": list(self._pushes * self.world.native(self.newest)[ids]),
            }
        )
        for serving in SERVINGS:
            self._store.write_to_online_store(f"{name_of(serving)}_v{self.newest}", frame)
        return ids, self._pushes

    def is_served(self, ids: np.ndarray, length: int) -> bool:
        """Whether what was pushed is what every view of every embedding has."""
        views = [f"{name_of(serving)}_v{j}" for serving in SERVINGS for j in (0, 1)]
        answer = self._store.get_online_features(
            [f"{view}:embedding" for view in views],
            [{"user_id": int(each)} for each in ids],
            full_feature_names=True,
        ).to_dict()
        return all(
            np.allclose(np.linalg.norm(vector, axis=0), length, rtol=1e-3)
            for view in views
            for vector in answer[f"{view}__embedding"]
        )

    def _take_effect(self) -> None:
        for serving in SERVINGS:
            family = VersionedEmbedding.from_catalog(
                self._catalog, name_of(serving), entities=[USER], serving=serving
            )
            self._store.apply([USER, *family.feature_views().values()])
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            self._store.materialize(EPOCH - timedelta(days=1), datetime.now(timezone.utc))


def memory(server: int, until: float) -> list[float]:
    """MiB of a server and its workers, every five seconds or oftener, until an instant."""
    found = []
    while time.monotonic() < until:
        workers = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
        found.append(sum(each.memory_info().rss for each in workers) / 2**20)
        time.sleep(min(5.0, max(0.1, (until - time.monotonic()) / 20)))
    return found


def run_changes(release: Release, every: float, until: float) -> tuple[list[Period], int, int]:
    """Make changes in turns, one every so many seconds.

    Returns:
        Which version served when, how many changes there were, and how many pushes were lost.
    """
    periods, lost = [Period(0, time.monotonic())], 0
    made = {
        "publish": release.publish,
        "activate": release.activate,
        "push": release.push,
        "roll back": release.roll_back,
        "activate again": release.activate,
    }
    for number, name in enumerate(cycle(CHANGES)):
        began = time.monotonic()
        if began + every > until:  # the last change is seen by the clients too
            return periods, number, lost
        pushed = made[name]()
        served = release.newest - (name in ("publish", "roll back"))
        if served != periods[-1].version:
            periods[-1] = replace(periods[-1], ended=time.monotonic())
            periods.append(Period(served, began))
        if pushed is not None:
            time.sleep(REGISTRY_TTL)
            lost += not release.is_served(*pushed)
        time.sleep(max(0.0, began + every - time.monotonic()))
    raise AssertionError("a cycle has no end")


def main(arguments: argparse.Namespace) -> None:
    report = Report("load", arguments)
    seconds = 60 * arguments.minutes
    versions = 3 + int(seconds / arguments.every / len(CHANGES) + 1)
    world = World(arguments.entities, arguments.dim, versions)
    clients = Clients(world, arguments.clients, arguments.batch, arguments.pause)
    with (
        tempfile.TemporaryDirectory() as scratch,
        RedisServer(Path(scratch)) as redis,
        ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool,
    ):
        release = Release(Path(scratch), world, redis.address)
        options = ["--workers", str(arguments.workers), "--registry_ttl_sec", str(REGISTRY_TTL)]
        with serve(Path(scratch), *options) as (port, server):
            pool.submit(
                clients.run, port, 0
            ).result()  # the first requests of a worker take seconds
            until = time.monotonic() + seconds
            asked = pool.submit(clients.run, port, until)
            measured = pool.submit(memory, server, until)
            periods, changes, lost = run_changes(release, arguments.every, until)
            answers, sizes = asked.result(), measured.result()
    refused = [answer for answer in answers if answer.refused]
    waited = {
        serving: [lateness(a, periods) for a in answers if a.serving == serving and not a.refused]
        for serving in SERVINGS
    }
    late = sum(each > arguments.lag for found in waited.values() for each in found)
    latency = Latency.of([a.ended - a.began for a in answers if not a.refused])
    wrong = sum(answer.wrong for answer in answers)
    vectors = 2 * arguments.batch * (len(answers) - len(refused))
    row = [len(answers), vectors, wrong, late, len(refused), lost, latency.p50, latency.p99]
    report.table(
        f"{arguments.clients} clients, {arguments.workers} workers, {changes} changes, "
        f"{len(periods)} states, {arguments.minutes:g} minutes",
        HEADER,
        [row],
    )
    report.table(
        "how long servers answer from an older state",
        LATE,
        [
            [
                serving,
                len(found),
                sum(map(bool, found)),
                max(found),
                float(np.percentile(found, 99)),
            ]
            for serving, found in waited.items()
        ],
    )
    thirds = [float(np.median(part)) for part in np.array_split(sizes, 3) if len(part)]
    report.table(
        "memory of the servers, median of each third", MEMORY, list(enumerate(thirds, start=1))
    )
    for reason, count in Counter(answer.refused for answer in refused).most_common(5):
        print(f"{count} times: {reason}")
    if wrong or late or refused or lost:
        raise SystemExit(1)


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--minutes", type=float, default=30, help="(%(default)s)")
    made.add_argument("--every", type=float, default=20, help="seconds (%(default)s)")
    made.add_argument("--clients", type=int, default=32, help="(%(default)s)")
    made.add_argument("--workers", type=int, default=2, help="of feast serve (%(default)s)")
    made.add_argument("--batch", type=int, default=20, help="entities a request (%(default)s)")
    made.add_argument("--pause", type=float, default=0.2, help="of a client, s (%(default)s)")
    made.add_argument("--lag", type=float, default=5, help="of a server, s (%(default)s)")
    made.add_argument("--entities", type=int, default=2000, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=16, help="(%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
