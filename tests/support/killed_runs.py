"""Materializations that are killed at any of the things they do to stores and registries."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from feast import FeatureStore
from feast.infra.registry.sql import SqlRegistryConfig

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.columns.instants import to_micros
from feast_bc.materialization.switch_serving import prepare_serving
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.catalogs import problems
from tests.support.families import USER, Family, Row, at, make_store, online
from tests.support.kills import Kill
from tests.support.online_stores import redis_client, redis_dump, sqlite_dump
from tests.support.store_kills import count_stores

USERS = range(10)
BATCH = 4
END = 6
NAME = "user_embedding"


def _rows(version: int, users: range, hour: float) -> list[Row]:
    dim = (2, 3, 2)[version]
    return [
        Row(version, user, hour, tuple(float(user + version + i) for i in range(dim)))
        for user in users
    ]


OLD = Family(
    dims=[2, 3, 2],
    rows=[*_rows(0, range(10), 1), *_rows(1, range(2, 10), 2), *_rows(2, range(5, 10), 3)],
    active={1: [(1, None)]},
)
NEWER = replace(OLD, rows=[*OLD.rows, *_rows(1, range(4), 5)])
CUT_OVER = replace(OLD, active={1: [(1, None)], 2: [(3, None)]})
ROLLED_BACK = replace(OLD, active={1: [(1, None)], 2: [(3, 4)]})


@dataclass(frozen=True)
class Scenario:
    """A run to kill.

    Attributes:
        before: what was materialized up to hour 4; None for nothing.
        after: what is applied when the run begins.
        prepares: whether the run prepares another serving.
    """

    before: Family | None
    after: Family
    prepares: bool = False

    def on_read(self) -> Scenario:
        """The same with native vectors only, of which a run deletes what no view needs."""
        families = [
            family and replace(family, serving="on_read", rollback_versions=0)
            for family in (self.before, self.after)
        ]
        before, after = families
        assert after is not None
        return Scenario(before, after)


_FIRST = Scenario(None, CUT_OVER)
_CUT_OVER = Scenario(OLD, CUT_OVER)
_ROLLBACK = Scenario(CUT_OVER, ROLLED_BACK)
_NEW_ROWS = Scenario(OLD, NEWER)

SCENARIOS = {
    "first": _FIRST,
    "cut-over": _CUT_OVER,
    "rollback": _ROLLBACK,
    "new rows": _NEW_ROWS,
    "first, on_read": _FIRST.on_read(),
    "cut-over, on_read": _CUT_OVER.on_read(),
    "rollback, on_read": _ROLLBACK.on_read(),
    "new rows, on_read": _NEW_ROWS.on_read(),
    "prepare on_read": Scenario(OLD, OLD, prepares=True),
}


def _embedding(folder: Path, family: Family) -> VersionedEmbedding:
    """A family by way of a catalog."""
    catalog = EmbeddingCatalog(folder / "catalog")
    for member in family.write(folder).versions:
        k = member.version
        catalog.publish(
            NAME,
            k,
            source=member.source,
            dim=member.dim,
            join_keys=["user_id"],
            transform=family.transforms[k - 1] if k else None,
        )
        for start, end in family.active.get(k, ()):
            catalog.activate(NAME, k, at(start))
            if end is not None:
                catalog.rollback(NAME, k, at=at(end))
    return VersionedEmbedding.from_catalog(
        catalog,
        NAME,
        entities=[USER],
        serving=family.serving,
        rollback_versions=family.rollback_versions,
    )


class KilledRuns:
    """One scenario over one online store.

    Args:
        folder: an empty folder.
        scenario: the run.
        address: where a Redis is, whose database is emptied; None for SQLite.
    """

    def __init__(self, folder: Path, scenario: Scenario, address: str | None) -> None:
        self._folder = folder
        self._scenario = scenario
        self._address = address
        self._prepared = folder / "prepared"
        self._prepared.mkdir(parents=True)
        self._keys: dict[bytes, bytes] = {}
        self._prepare()
        whole = self._copied("whole")
        self._run(whole)
        self._whole = self._dump(whole)
        self._files = _files(whole)
        self._check(whole, only_new=True)

    def points(self) -> int:
        """How many points there are."""
        counted = self._copied("counted")
        receive, send = multiprocessing.Pipe(duplex=False)
        assert _child(partial(self._armed, counted, 0, send)) == 0
        found: int = receive.recv()
        return found

    def kill(self, number: int) -> bool:
        """Kill a run at a point; check what stands then, and that the next run completes.

        Returns:
            Whether it came to that point: a run makes a few writes more or less than another.
        """
        folder = self._copied(f"point {number}")
        ended = _child(partial(self._armed, folder, number))
        assert ended in (0, -signal.SIGKILL)
        assert problems(EmbeddingCatalog(self._prepared / "catalog")) == {}
        self._check(folder)
        self._run(folder)
        assert self._dump(folder) == self._whole
        assert _files(folder) == self._files
        self._check(folder, only_new=True)
        shutil.rmtree(folder)
        return ended != 0

    def _prepare(self) -> None:
        if self._address is not None:
            with redis_client(self._address) as client:
                client.flushdb()
        store, before = self._store(self._prepared), self._scenario.before
        if before is not None:
            views = _embedding(self._prepared, before).feature_views()
            store.apply([USER, *views.values()])
            store.materialize(at(-1), at(4))
        views = _embedding(self._prepared, self._scenario.after).feature_views()
        store.apply([USER, *views.values()])
        if self._address is not None:
            with redis_client(self._address) as client:
                self._keys = {key: client.dump(key) for key in client.scan_iter()}

    def _copied(self, name: str) -> Path:
        """The prepared state in a folder of its own, or again in Redis."""
        folder = self._folder / name
        folder.mkdir()
        for file in ("registry.sqlite", "online.db"):
            if (self._prepared / file).exists():
                shutil.copy(self._prepared / file, folder / file)
        if self._address is not None:
            with redis_client(self._address) as client:
                client.flushdb()
                for key, stored in self._keys.items():
                    client.restore(key, 0, stored)
        return folder

    def _store(self, folder: Path) -> FeatureStore:
        registry = SqlRegistryConfig(
            registry_type="sql",
            path=f"sqlite:///{folder / 'registry.sqlite'}",
            serve_features_while_materializing=True,
        )
        redis: dict[str, object] = {"type": "redis", "connection_string": self._address}
        return make_store(
            folder,
            online=redis if self._address else None,
            registry=registry,
            materialization={"online_write_batch_size": BATCH},
        )

    def _run(self, folder: Path) -> None:
        store = self._store(folder)
        if self._scenario.prepares:
            prepare_serving(store, NAME, "on_read", end=at(END))
        elif self._scenario.before is None:
            store.materialize(at(-1), at(END))
        else:
            store.materialize_incremental(at(END))

    def _armed(self, folder: Path, number: int, count: object = None) -> None:
        """The run in a process of its own, killed at a point; 0: it tells how many there are."""
        kill = Kill(number)
        count_stores(kill)
        self._run(folder)
        if count is not None:
            count.send(-kill.left)  # type: ignore[attr-defined]

    def _check(self, folder: Path, *, only_new: bool = False) -> None:
        """Readers are served, each value one of the old or of the new state."""
        store, after, before = self._store(folder), self._scenario.after, self._scenario.before
        states: list[Family | None] = [after]
        if not only_new:
            known = before.rows if before is not None else []
            states += [before, replace(after, rows=known)]
        with patch("feast_bc.clock.now", return_value=to_micros(at(END))):
            for version in range(len(after.dims)):
                found = online(store, f"{NAME}_v{version}", USERS)
                for user, vector in zip(USERS, found, strict=True):
                    assert any(
                        _equal(vector, None if family is None else family.value(version, user, END))
                        for family in states
                    ), (version, user, vector)

    def _dump(self, folder: Path) -> object:
        if self._address is not None:
            return redis_dump(self._address)
        return sqlite_dump(folder / "online.db")


def _equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return len(one) == len(other) and bool(np.allclose(one, other, rtol=1e-4, atol=1e-4))


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _child(action: Callable[[], object]) -> int | None:
    """Run in a process that forks from one without threads; its exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "feast.infra.offline_stores.duckdb"])
    child = context.Process(target=_quietly, args=(action,))
    child.start()
    child.join()
    return child.exitcode


def _quietly(action: Callable[[], object]) -> None:
    """Without Feast's progress."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    action()


def numbers(points: int, count: int) -> Iterator[int]:
    """So many of the points, spread over all of them."""
    yield from sorted({round(n) for n in np.linspace(1, points, min(points, count))})
