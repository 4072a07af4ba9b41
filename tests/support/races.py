"""Many processes at work on one catalog at once."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from datetime import datetime, timedelta, timezone

from fsspec.config import conf, set_conf_env

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.event import ACTIVATE, PUBLISH, ROLLBACK
from feast_bc.errors import CatalogError, ChainGapError, VersionConflictError
from tests.support.catalogs import problems, source
from tests.support.links import affine

NAME = "user_embedding"
T0 = datetime(2026, 1, 1, tzinfo=timezone.utc)
_DIM = 3

Outcomes = list[tuple[str, int]]
"""What a process did: ("publish" or the like, the version)."""


def publish_all(arguments: tuple[str, int, int, float]) -> Outcomes:
    """One process: publish versions of its own until there are enough; activate, roll back.

    Args:
        arguments: the root, the process's number, how many versions there shall be, and the
            instant at which all begin.
    """
    root, number, versions, start = arguments
    catalog, chance = EmbeddingCatalog(root), random.Random(number)  # noqa: S311 - no secret
    done: Outcomes = []
    time.sleep(max(0.0, start - time.time()))
    version = 0
    while version < versions:
        try:
            change = catalog.publish(
                NAME,
                version,
                source=source(number),
                dim=_DIM,
                join_keys=["user_id"],
                transform=affine(version, _DIM, _DIM, seed=number) if version else None,
                metrics={"by": number},
            )
            assert change.changed
            done.append((PUBLISH, version))
            version += 1
        except VersionConflictError:
            version = len(catalog.versions(NAME))
        except ChainGapError:  # somebody else's newest is not listed yet
            version = len(catalog.versions(NAME))
        _change_activations(catalog, chance, done)
    return done


def _change_activations(catalog: EmbeddingCatalog, chance: random.Random, done: Outcomes) -> None:
    """Activate a version, and roll one back, as far as others have not done so."""
    newest = len(catalog.versions(NAME)) - 1
    if newest < 1:
        return
    version = chance.randint(1, newest)
    try:
        if catalog.activate(NAME, version, T0).changed:
            done.append((ACTIVATE, version))
        if catalog.rollback(NAME, version, at=T0 + timedelta(hours=1)).changed:
            done.append((ROLLBACK, version))
    except VersionConflictError:
        raise
    except CatalogError as error:
        if "rolled back already" not in str(error) and "is not active" not in str(error):
            raise


def _configure(environment: dict[str, str]) -> None:
    """Configure a process as its environment would, had it been set before the start."""
    os.environ.update(environment)
    set_conf_env(conf)


def race(root: str, processes: int, versions: int) -> dict[int, Outcomes]:
    """Let processes work on an empty catalog; per process what it did.

    Everything that a process was told it did stands in the log once, and nothing else does.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.races"])
    start = time.time() + 3
    # The server of the forks may have begun before this test set its variables.
    with context.Pool(processes, _configure, (dict(os.environ),)) as pool:
        jobs = [(root, number, versions, start) for number in range(processes)]
        outcomes = dict(enumerate(pool.map(publish_all, jobs, chunksize=1)))
    catalog = EmbeddingCatalog(root)
    assert problems(catalog) == {}
    published = catalog.published(NAME)
    assert len(published) == versions
    by = {
        version: number for number, done in outcomes.items() for e, version in done if e == PUBLISH
    }
    assert [v.manifest.metrics["by"] for v in published] == [by[k] for k in range(versions)]
    recorded = [(e.event, e.version) for e in catalog.shelf(NAME).history.events]
    assert sorted(recorded) == sorted(each for done in outcomes.values() for each in done)
    return outcomes
