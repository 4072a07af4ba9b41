"""A command that is run again, or whose write is retried, does no more than once."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.event import PUBLISH, RETIRE, WITHDRAW
from feast_bc.catalog.files import CatalogFiles
from feast_bc.errors import CatalogError, VersionConflictError
from tests.support.catalogs import T0, files_of, problems, publish
from tests.support.links import affine

NAME = "user_embedding"
LATER = T0 + timedelta(days=1)
AHEAD = datetime.now(timezone.utc) + timedelta(days=365)

Command = Callable[[EmbeddingCatalog], CatalogChange]

COMMANDS: dict[str, Command] = {
    "publish": lambda c: publish(c, 2, metrics={"recall": 0.5, "alignment": {"older": []}}),
    "activate": lambda c: c.activate(NAME, 1),
    "activate from": lambda c: c.activate(NAME, 1, LATER),
    "activate from ahead": lambda c: c.activate(NAME, 1, AHEAD),
    "rollback": lambda c: c.rollback(NAME),
    "rollback at": lambda c: c.rollback(NAME, at=LATER),
    "rollback at ahead": lambda c: c.rollback(NAME, at=AHEAD),
    "rollback version": lambda c: c.rollback(NAME, 2),
    "rollback version at": lambda c: c.rollback(NAME, 2, at=LATER),
    "retire": lambda c: c.retire(NAME, 0),
    "unretire": lambda c: c.unretire(NAME, 0),
    "relink": lambda c: c.relink(NAME, 1, affine(1, 4, 3, seed=9)),
    "withdraw": lambda c: c.withdraw(NAME, 1),
}


class KilledError(Exception):
    """Stands for the end of the process, right after its write."""


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, catalog: EmbeddingCatalog) -> Command:
    """A command, on a catalog in which it has something to do."""
    publish(catalog, 0)
    publish(catalog, 1)
    if request.param.startswith("rollback"):
        publish(catalog, 2)
        catalog.activate(NAME, 1, T0)
        catalog.activate(NAME, 2, T0)
    if request.param == "unretire":
        catalog.retire(NAME, 0)
    return COMMANDS[request.param]


def assert_listed(catalog: EmbeddingCatalog, change: CatalogChange) -> None:
    """The catalog has the version as the command said; one that was withdrawn it has no more."""
    listed = catalog.published(NAME)[change.published.version :]
    withdrawn = catalog.shelf(NAME).history.events[-1].event == WITHDRAW
    assert listed[:1] == ([] if withdrawn else [change.published])


def commits_and_raises(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The next creation of a file succeeds, and reports an error all the same."""
    create = CatalogFiles.create

    def failing(files: CatalogFiles, path: str, data: bytes) -> None:
        monkeypatch.setattr(CatalogFiles, "create", create)
        create(files, path, data)
        raise error

    monkeypatch.setattr(CatalogFiles, "create", failing)


def test_a_second_run_changes_nothing(catalog: EmbeddingCatalog, command: Command) -> None:
    first = command(catalog)
    assert first.changed
    after = files_of(catalog)
    second = command(catalog)
    assert not second.changed
    assert second.published == first.published
    assert_listed(catalog, first)
    assert files_of(catalog) == after
    assert problems(catalog) == {}


def test_a_retried_write_that_finds_its_own_file(
    catalog: EmbeddingCatalog, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(catalog)
    commits_and_raises(monkeypatch, FileExistsError("412: precondition failed"))
    change = command(catalog)
    assert change.changed
    assert_listed(catalog, change)
    after = files_of(catalog)
    written = after.keys() - before.keys()
    assert sum("/events/" in path for path in written) == 1
    assert not command(catalog).changed
    assert files_of(catalog) == after


def test_a_run_after_a_kill(
    catalog: EmbeddingCatalog, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits_and_raises(monkeypatch, KilledError())
    with pytest.raises(KilledError):
        command(catalog)
    after = files_of(catalog)
    assert not command(catalog).changed
    assert files_of(catalog) == after


def overtaken(monkeypatch: pytest.MonkeyPatch, by: Callable[[], object]) -> None:
    """Somebody else does `by` before the next creation of a file."""
    create = CatalogFiles.create

    def late(files: CatalogFiles, path: str, data: bytes) -> None:
        monkeypatch.setattr(CatalogFiles, "create", create)
        by()
        create(files, path, data)

    monkeypatch.setattr(CatalogFiles, "create", late)


def test_somebody_else_did_the_same_first(
    catalog: EmbeddingCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(catalog, 0)
    overtaken(monkeypatch, lambda: catalog.retire(NAME, 0))
    change = catalog.retire(NAME, 0)
    assert not change.changed
    assert [event.event for event in change.published.events] == [PUBLISH, RETIRE]
    overtaken(monkeypatch, lambda: publish(catalog, 1))
    assert not publish(catalog, 1).changed


def test_somebody_else_did_something_else_first(
    catalog: EmbeddingCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(catalog, 0)
    publish(catalog, 1)
    overtaken(monkeypatch, lambda: catalog.retire(NAME, 0))
    assert catalog.activate(NAME, 1, T0).changed
    assert [version.retired for version in catalog.versions(NAME)] == [True, False]
    overtaken(monkeypatch, lambda: publish(catalog, 2))
    with pytest.raises(VersionConflictError, match="another transform"):
        publish(catalog, 2, transform=affine(2, 5, 4, seed=8))


def test_events_have_ids_of_their_own(catalog: EmbeddingCatalog) -> None:
    publish(catalog, 0)
    publish(catalog, 1)
    for _ in range(2):
        catalog.activate(NAME, 1, T0)
        catalog.rollback(NAME, at=T0)
    events = catalog.version(NAME, 1).events
    assert len({event.id for event in events}) == 5


@pytest.mark.parametrize(
    ("script", "version"),
    [
        (["+1", "+2"], 2),
        (["+2", "+1"], 2),  # recorded later, but it does not serve where version 2 does
        (["+1", "+2", "-1"], 2),
        (["+1", "+2", "-2", "-1", "+1"], 1),
        (["+2", "-2", "+1"], 1),
    ],
)
def test_which_version_a_rollback_concerns(
    local: EmbeddingCatalog, script: list[str], version: int
) -> None:
    for step in script:
        sign, number = step[0], step[1]
        if sign == "+":
            local.activate(NAME, int(number), T0)
        else:
            local.rollback(NAME, int(number), at=T0)
    change = local.rollback(NAME)
    assert (change.published.version, change.changed) == (version, True)
    again = local.rollback(NAME)
    assert (again.published.version, again.changed) == (version, False)


def test_another_rollback_needs_the_version(local: EmbeddingCatalog) -> None:
    local.activate(NAME, 1, T0)
    local.activate(NAME, 2, T0)
    for _ in range(3):
        assert local.rollback(NAME, at=LATER).published.version == 2
    assert local.version(NAME, 1).activations[0].active_until is None
    assert local.rollback(NAME, 1, at=LATER).changed


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda c: c.activate(NAME, 1, LATER), "active already, from 2026-01-01"),
        (lambda c: c.activate(NAME, 2), f"active already, from {AHEAD.date()}"),
        (lambda c: c.rollback(NAME, 1), f"rolled back already, from {AHEAD.date()}"),
    ],
)
def test_another_instant_is_another_request(
    local: EmbeddingCatalog, act: Callable[[EmbeddingCatalog], object], message: str
) -> None:
    local.activate(NAME, 1, T0)
    local.activate(NAME, 2, AHEAD)
    if "rolled back" in message:
        local.rollback(NAME, 1, at=AHEAD)
    before = files_of(local)
    with pytest.raises(CatalogError, match=message):
        act(local)
    assert files_of(local) == before


def test_a_rollback_at_another_instant_is_refused(local: EmbeddingCatalog) -> None:
    local.activate(NAME, 1, T0)
    local.rollback(NAME, at=LATER)
    for version in (None, 1):
        with pytest.raises(CatalogError, match=r"from 2026-01-02.*Activate it again"):
            local.rollback(NAME, version, at=T0)
