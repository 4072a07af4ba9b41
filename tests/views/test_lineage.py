"""Definitions that do not go on from what the registry has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from feast_bc.errors import LineageError
from feast_bc.views.lineage import ACCEPT, check_lineage, head
from feast_bc.views.source import BackwardCompatibleSource
from tests.support.families import EXAMPLE


@pytest.fixture
def made_by_hand(tmp_path: Path) -> BackwardCompatibleSource:
    source = EXAMPLE.write(tmp_path).view(0).batch_source
    assert isinstance(source, BackwardCompatibleSource)
    return source


def of(source: BackwardCompatibleSource, history: Sequence[str]) -> BackwardCompatibleSource:
    """The same versions with a history, back from the registry."""
    source = source.of_version(source.version)
    source.history = tuple(history)
    found = BackwardCompatibleSource.from_proto(source.to_proto())
    assert found.history == tuple(history)
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["a"]),
        (["a"], ["a"]),
        (["a", "b"], ["a", "b", "c"]),
        (["v0=a", "e"], ["v0=a", "v1=b", "e", "f"]),
    ],
)
def test_a_history_that_goes_on(
    made_by_hand: BackwardCompatibleSource, before: list[str], after: list[str]
) -> None:
    check_lineage(of(made_by_hand, after), [of(made_by_hand, before)])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (["a", "b"], ["a"], "read before an activation.*run `feast apply` again.*from a backup"),
        (["a", "b"], ["a", "c"], "its numbers used again"),
        (["a", "b"], ["x", "y", "z"], "its numbers used again"),
        (["v0=a"], ["v0=b"], "its numbers used again"),
        (["v0=a", "v1=b"], ["v0=a"], "read before"),
    ],
)
def test_a_history_that_does_not(
    made_by_hand: BackwardCompatibleSource,
    before: list[str],
    after: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new, old = of(made_by_hand, after), of(made_by_hand, before)
    with pytest.raises(LineageError, match=f"user_embedding_v0 cannot be applied.*{message}") as no:
        check_lineage(new, [old])
    told = re.search(rf"set {ACCEPT}=(\S+) for this one apply", str(no.value))
    assert told
    monkeypatch.setenv(ACCEPT, f"item_embedding@1, {told[1]}")
    check_lineage(new, [old])
    with pytest.raises(LineageError):  # it names this history and no other
        check_lineage(of(made_by_hand, [*after[:-1], "q"]), [old])


def test_versions_without_a_history_are_compared(
    made_by_hand: BackwardCompatibleSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, *newer = made_by_hand.members
    other_dim = made_by_hand.of_version(0)
    other_dim.members = (replace(own, dim=own.dim + 1), *newer)
    other_rows = made_by_hand.of_version(0)
    other_rows.members = (own, replace(newer[0], feature="other"), *newer[1:])
    fewer = made_by_hand.of_version(0)
    fewer.members = (own,)
    check_lineage(made_by_hand, [fewer, made_by_hand])
    check_lineage(fewer, [made_by_hand])
    for changed, message in (other_dim, "version 0 had 2 dimen"), (other_rows, "version 1 had ano"):
        for new in (changed, of(changed, ["a"])):
            with pytest.raises(LineageError, match=message):
                check_lineage(new, [made_by_hand])
        monkeypatch.setenv(ACCEPT, f"user_embedding@{head(changed)}")
        check_lineage(changed, [made_by_hand])
        monkeypatch.delenv(ACCEPT)


def test_a_relink_keeps_the_native_vectors(made_by_hand: BackwardCompatibleSource) -> None:
    """The views of older versions are written anew; natives, states and its own view are not."""
    own, one, *rest = made_by_hand.members
    link = one.transform
    assert link is not None
    corrected = replace(
        one, transform=replace(link, sha256="0" * 64), replaced_transform=link.sha256
    )
    relinked = made_by_hand.of_version(0)
    relinked.members = (own, corrected, *rest)
    assert relinked.digests.tolist() == made_by_hand.digests.tolist()
    assert relinked.of_version(1).plan.digest == made_by_hand.of_version(1).plan.digest
    assert relinked.plan.digest != made_by_hand.plan.digest
    assert relinked.native(1).plan.digest == made_by_hand.native(1).plan.digest
    check_lineage(relinked, [made_by_hand])
    back = BackwardCompatibleSource.from_proto(relinked.to_proto())
    assert back.members[1].native_digest == one.native_digest
    assert back.members[1].digest == corrected.digest != one.digest


def test_other_embeddings_do_not_count(made_by_hand: BackwardCompatibleSource) -> None:
    other = of(made_by_hand, ["x"])
    other.embedding = "item_embedding"
    check_lineage(of(made_by_hand, ["a"]), [other])
