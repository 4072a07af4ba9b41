"""`retrieve_online_documents_v2` of version views, over any store that can be searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from feast import FeatureView
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.repo_config import RepoConfig

from feast_bc import clock
from feast_bc.errors import ProviderError
from feast_bc.online.search.found import DISTANCE, Document, Found, in_key_order, measured
from feast_bc.online.search.indexed import indexed
from feast_bc.online.search.metric import Query
from feast_bc.online.search.pulled_back import Pulled
from feast_bc.online.search.scan import scanned
from feast_bc.online.stores import access
from feast_bc.views.stored_views import native_view

StoreSearch = Callable[..., "list[Document]"]
"""Feast's `retrieve_online_documents_v2` of a store."""


def search(
    store: OnlineStore,
    config: RepoConfig,
    view: FeatureView,
    stock: StoreSearch,
    **asked: Any,
) -> list[Document]:
    """The entities whose values in a version view are nearest to a query.

    A materialized view in a store that finds vectors by itself is left to it. Everything else is
    exact: the value that a read gives is what is measured.

    Args:
        store, config, view: where, and in which version view.
        stock: the store's own search.
        asked: what it takes.

    Returns:
        `(event timestamp, entity, values and distance)` per entity, in the order of the entities'
        keys: see `in_key_order`.

    Raises:
        ProviderError: the store can neither search nor list its entities, or what is asked for
            takes other features than a vector.
        FeastBCError: the query is none; or as for reads of the view.
    """
    about, source = access(store), view.batch_source
    own, listed = about.searches(config), about.reader.lists_entities
    if not (own or listed):
        if source.on_read:
            raise ProviderError(
                f"{view.name!r} is served on read, and feast-bc cannot search native vectors in a "
                f"{config.online_store.type} store. Apply it with serving='materialized' and "
                "materialize it, or keep an index elsewhere with `feast-bc export`."
            )
        return in_key_order(stock(config=config, table=view, **asked))
    query = _query(view, **asked)
    if own and not source.on_read:
        return in_key_order(stock(config=config, table=view, **asked))

    feature = view.features[0].name

    def read(keys: Sequence[EntityKeyProto]) -> Found:
        answers = store.online_read(config, view, list(keys), [feature]) if keys else []
        return measured(view, query, keys, answers)

    def nearest(pulled: Pulled, count: int) -> list[tuple[EntityKeyProto, float]]:
        documents = stock(
            config=config,
            table=native_view(view, pulled.version),
            requested_features=[feature],
            embedding=pulled.query.vector.tolist(),
            top_k=count,
            distance_metric=query.metric,
        )
        return [
            (key, values[DISTANCE].double_val)
            for _, key, values in documents
            if key is not None and values is not None
        ]

    now = clock.now()
    found = indexed(source, nearest, read, query, now) if own else None
    if found is None:
        keys = scanned(store, config, view, about.reader, query, now)
        version = config.entity_key_serialization_version
        found = read(
            [deserialize_entity_key(k, entity_key_serialization_version=version) for k in keys]
        )
    return in_key_order(found.documents)


def _query(
    view: FeatureView,
    *,
    embedding: object,
    top_k: object,
    distance_metric: str | None = None,
    query_string: str | None = None,
    filters: object = None,
    **_: Any,
) -> Query:
    if query_string is not None or filters is not None or embedding is None:
        raise ProviderError(
            f"{view.name!r} is a version view: its one feature is a vector, which has no text and "
            "meets no filters. Search for a vector alone (query=[...]), and filter the result."
        )
    return Query.checked(view.batch_source, embedding, distance_metric, top_k)
