"""What an event would change is what it changes."""

from datetime import timedelta

import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.event import ACTIVATE, RETIRE, Event
from feast_bc.catalog.outlook import Outlook, outlook
from feast_bc.errors import CatalogError
from tests.support.catalogs import T0


def test_an_activation_in_the_future_changes_nothing_until_then(local: EmbeddingCatalog) -> None:
    shelf = local.shelf("user_embedding")
    event = Event.new(ACTIVATE, 2, T0 + timedelta(days=1))
    assert not any(view.changes for view in outlook(shelf, event, T0))
    assert outlook(shelf, event, T0 + timedelta(days=1)) == [
        Outlook(0, (0,), (2, 0)),
        Outlook(1, (1,), (2, 1)),
        Outlook(2, (2,), (2,)),
    ]


def test_a_retired_view_is_not_told_of(local: EmbeddingCatalog) -> None:
    local.retire("user_embedding", 1)
    found = outlook(local.shelf("user_embedding"), Event.new(RETIRE, 0), T0)
    assert [view.version for view in found] == [2]


def test_an_event_that_cannot_follow(local: EmbeddingCatalog) -> None:
    local.activate("user_embedding", 1, T0)
    with pytest.raises(CatalogError, match="user_embedding version 1 is active already"):
        outlook(local.shelf("user_embedding"), Event.new(ACTIVATE, 1, T0), T0)
