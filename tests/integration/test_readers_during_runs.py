"""Readers of a shared registry while it is materialized, cut over, and after a run was killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feast import FeatureStore
from feast.infra.registry.sql import SqlRegistryConfig
from feast.repo_config import RegistryConfig

from feast_bc.online.sqlite.writer import SqliteWriter
from feast_bc.views.serving import Serving
from tests.support.families import USER, Family, Row, at, make_store, online
from tests.support.interruptions import before_batch

USERS = range(40)
FAMILY = Family(
    dims=[3, 4],
    rows=[
        Row(version, user, version + 1, tuple(range(user, user + dim)))
        for version, dim in enumerate([3, 4])
        for user in USERS
    ],
)
CUT_OVER = replace(FAMILY, active={1: [(2, None)]})
VIEWS = ["user_embedding_v0", "user_embedding_v1"]
BATCH = 10


def registry(folder: Path, kind: str, serves: bool) -> RegistryConfig:
    """A registry that other processes share."""
    options: dict[str, Any] = {"serve_features_while_materializing": serves}
    if kind == "file":
        return RegistryConfig(path=str(folder / "registry.db"), **options)
    path = f"sqlite:///{folder / 'registry.sqlite'}"
    return SqlRegistryConfig(registry_type="sql", path=path, **options)


def materialize(folder: Path, kind: str, serves: bool, dies: bool) -> None:
    """One run; it may be killed while it writes."""
    with pytest.MonkeyPatch.context() as patch:
        if dies:
            before_batch(patch, SqliteWriter, 3, lambda: os.kill(os.getpid(), signal.SIGKILL))
        store = make_store(
            folder,
            registry=registry(folder, kind, serves),
            materialization={"online_write_batch_size": BATCH},
        )
        store.materialize(at(-1), at(6))


def run(folder: Path, kind: str, *, serves: bool, dies: bool = False) -> None:
    """Materialize in a process of its own."""
    # Its server has imported Feast once, and has no threads that a fork would break.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    child = context.Process(target=materialize, args=(folder, kind, serves, dies))
    child.start()
    child.join()
    assert child.exitcode == (-signal.SIGKILL if dies else 0)


@contextmanager
def readers(store: FeatureStore) -> Iterator[dict[str, int]]:
    """Read all the while, with the registry as it is; each vector is one of the old or new plan."""
    seen = {"reads": 0}
    wrong: list[object] = []
    stop = threading.Event()
    valid = {
        (view, user): [family.value(version, user, 6) for family in (FAMILY, CUT_OVER)]
        for version, view in enumerate(VIEWS)
        for user in USERS
    }

    def read() -> None:
        while not stop.is_set():
            try:
                for view in VIEWS:
                    store.refresh_registry()
                    for user, vector in zip(USERS, online(store, view, USERS), strict=True):
                        if not any(
                            vector is not None and each is not None and np.allclose(vector, each)
                            for each in valid[view, user]
                        ):
                            wrong.append((view, user, vector))
                seen["reads"] += 1
            except Exception as error:  # whatever a reader meets is wrong
                wrong.append(error)
            time.sleep(0.02)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    assert not wrong, (len(wrong), wrong[0])


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_readers_are_never_refused(serving: Serving, tmp_path: Path) -> None:
    """With a SQL registry: a file registry is written in place, so readers may find half of it."""
    store = make_store(tmp_path, registry=registry(tmp_path, "sql", serves=True))
    before, after = replace(FAMILY, serving=serving), replace(CUT_OVER, serving=serving)
    store.apply([USER, *before.write(tmp_path).feature_views().values()])
    run(tmp_path, "sql", serves=True)
    cut_over = after.write(tmp_path).feature_views().values()
    reader = make_store(tmp_path, registry=registry(tmp_path, "sql", serves=True))
    with readers(reader) as seen:
        run(tmp_path, "sql", serves=True)
        store.apply([USER, *cut_over])
        run(tmp_path, "sql", serves=True, dies=True)
        after_kill = seen["reads"]
        run(tmp_path, "sql", serves=True)
        assert seen["reads"] > after_kill > 3
    store.refresh_registry()
    assert {view.state.name for view in store.list_feature_views()} == {"AVAILABLE_ONLINE"}


@pytest.mark.parametrize(
    ("kind", "serves", "refused"),
    [("file", False, True), ("file", True, False), ("sql", False, False)],
)
def test_a_killed_run(kind: str, serves: bool, refused: bool, tmp_path: Path) -> None:
    """Only a file registry keeps the state in which Feast refuses readers.

    `feature_repo/` has the setting that serves them all the same.
    """
    store = make_store(tmp_path, registry=registry(tmp_path, kind, serves))
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    run(tmp_path, kind, serves=serves)
    store.apply([USER, *CUT_OVER.write(tmp_path).feature_views().values()])
    run(tmp_path, kind, serves=serves, dies=True)
    store.refresh_registry()
    with pytest.raises(ValueError, match="MATERIALIZING") if refused else nullcontext():
        online(store, VIEWS[0], USERS)
    run(tmp_path, kind, serves=serves)
    store.refresh_registry()
    assert all(vector is not None for vector in online(store, VIEWS[0], USERS))
