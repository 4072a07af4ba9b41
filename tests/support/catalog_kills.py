"""Commands of the catalog that are killed at any of their file operations."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from tests.support.catalogs import T0, files_of, problems, publish
from tests.support.kills import killed
from tests.support.links import affine

NAME = "user_embedding"
CORRECTED = affine(1, 4, 3, seed=9)

COMMANDS: dict[str, tuple[Callable[[EmbeddingCatalog], object], int]] = {
    "publish 0": (lambda c: publish(c, 0), 2),
    "publish": (lambda c: publish(c, 2), 3),
    "activate": (lambda c: c.activate(NAME, 1, T0), 1),
    "rollback": (lambda c: c.rollback(NAME, 1, at=T0), 1),
    "retire": (lambda c: c.retire(NAME, 0), 1),
    "unretire": (lambda c: c.unretire(NAME, 0), 1),
    "relink": (lambda c: c.relink(NAME, 1, CORRECTED), 2),
    "withdraw": (lambda c: c.withdraw(NAME, 1), 1),
}
"""Each with the number of files that it adds."""


def _prepared(root: Path, command: str) -> EmbeddingCatalog:
    """A catalog in which the command has something to do."""
    catalog = EmbeddingCatalog(root)
    if command != "publish 0":
        publish(catalog, 0)
        publish(catalog, 1)
    if command == "rollback":
        catalog.activate(NAME, 1, T0)
    if command == "unretire":
        catalog.retire(NAME, 0)
    return catalog


def _meaning(catalog: EmbeddingCatalog) -> list[Any]:
    """What readers see, but for when it was written."""
    versions = catalog.shelf(NAME, empty=True).versions
    return [
        (v.version, v.retired, v.activations, v.transform and v.transform.sha256) for v in versions
    ]


def kill_everywhere(command: str, folder: Path) -> int:
    """Kill a command before each of its file operations; how many there are.

    After each, the catalog is as before the command or as after it, `verify` finds nothing wrong,
    the command run again completes, and names what is left over.
    """
    run, added = COMMANDS[command]
    before = _meaning(_prepared(folder / "before", command))
    whole = _prepared(folder / "whole", command)
    run(whole)
    after = _meaning(whole)
    assert before != after
    points, states = 0, set()
    while True:
        catalog = _prepared(folder / str(points), command)
        had = len(files_of(catalog))
        if not killed(lambda catalog=catalog: run(catalog), points + 1):  # type: ignore[misc]
            break
        points += 1
        found = _meaning(catalog)
        assert found in (before, after)
        states.add(found == after)
        if files_of(catalog):
            assert not [check for check in catalog.verify() if not check.ok]
        run(catalog)
        assert _meaning(catalog) == after
        words = " ".join(check.note or "" for check in catalog.verify()).split()
        names = {word.rstrip(",.") for word in words}
        left = [path for path in files_of(catalog) if NAME + path.partition(NAME)[2] in names]
        assert len(files_of(catalog)) - len(left) == had + added
        assert problems(catalog) == {}
        shutil.rmtree(catalog.root)
    assert states == {False, True}
    # The folder, the file, two halves, fsync, link, unlink, fsync of the folder.
    assert points >= 7 * added
    return points
