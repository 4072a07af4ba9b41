"""What a run over a versioned embedding tells OpenLineage, where `feature_store.yaml` asks for it.

Feast tells of a whole `feast materialize`, in which a version view has one source: itself. Here
each family's run, a child of Feast's, names the native tables that its values may come from, and
the chains that lead to each view.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from feast import FeatureView
from feast.repo_config import RepoConfig

from feast_bc.columns.instants import to_micros
from feast_bc.views.source import BackwardCompatibleSource

_LOG = logging.getLogger(__name__)

CHAINS = "feast_bc_chains"
"""The run facet with the chains."""


class RunEvents:
    """Tells of one run; does nothing where nobody asked.

    Args:
        config: the feature repo's configuration.
        project: Feast's project.
        views: the views that are written.
        end: the end of the window.
        parent: Feast's own run, as it hands it to engines; None for none.
    """

    def __init__(
        self,
        config: RepoConfig,
        project: str,
        views: Sequence[FeatureView],
        end: datetime,
        parent: Any = None,
    ) -> None:
        self._client: Any = None
        asked = config.openlineage
        if asked is None or not (asked.enabled and asked.emit_on_materialize):
            return
        from feast.openlineage import FeastOpenLineageClient
        from feast.openlineage.identity import resolve_namespace

        client = FeastOpenLineageClient(asked.to_openlineage_config())
        if not client.is_enabled:  # Feast has said why
            return
        self._client = client
        self._config, self._views, self._until, self._parent = config, views, to_micros(end), parent
        self._namespace = resolve_namespace(asked.namespace, project)
        self._run, self._project = str(uuid.uuid4()), project

    def started(self) -> None:
        """The run begins."""
        self._tell("START")

    def ended(self, errors: Mapping[str, BaseException]) -> None:
        """The run is over; it failed if any view has an error."""
        self._tell("FAIL" if errors else "COMPLETE", errors)

    def _tell(self, kind: str, errors: Mapping[str, BaseException] | None = None) -> None:
        if self._client is None:
            return
        try:
            self._emit(kind, errors or {})
        except Exception as error:  # what cannot be told of shall run all the same, as in Feast
            _LOG.warning("OpenLineage was not told of a run: %s: %s", type(error).__name__, error)

    def _emit(self, kind: str, errors: Mapping[str, BaseException]) -> None:
        from feast.openlineage.mappers import (
            data_source_to_dataset,
            online_store_to_dataset,
            resolve_online_store_type,
        )
        from openlineage.client.event_v2 import RunState

        store = resolve_online_store_type(self._config.online_store)
        embedding = self._views[0].batch_source.embedding
        self._client.emit_run_event(
            job_name=f"{self._project}.materialize.{embedding}",
            run_id=self._run,
            event_type=RunState[kind],
            inputs=[
                data_source_to_dataset(source, namespace=self._namespace, as_input=True)
                for source in self._sources()
            ],
            outputs=[
                online_store_to_dataset(
                    store_type=store, feature_view_name=view.name, namespace=self._namespace
                )
                for view in self._views
            ],
            run_facets=self._facets(errors),
            namespace=self._namespace,
        )

    def _sources(self) -> list[Any]:
        """The batch sources of all versions that may give any of the views a value, once each."""
        members = {
            member.version: member
            for view in self._views
            for member in _counting(view.batch_source, self._until)
        }
        return [members[version].source for version in sorted(members, reverse=True)]

    def _facets(self, errors: Mapping[str, BaseException]) -> dict[str, Any]:
        import attr
        from openlineage.client.facet_v2 import RunFacet, error_message_run, parent_run

        @attr.define
        class ChainsFacet(RunFacet):
            views: list[dict[str, Any]] = attr.field(factory=list)

        facets: dict[str, Any] = {
            CHAINS: ChainsFacet(views=[_chains(view, self._until) for view in self._views])
        }
        if self._parent is not None:
            facets["parent"] = parent_run.ParentRunFacet(
                run=parent_run.Run(runId=self._parent.run_id),
                job=parent_run.Job(
                    namespace=self._parent.job_namespace, name=self._parent.job_name
                ),
            )
        if errors:
            told = "; ".join(str(error) for error in dict.fromkeys(errors.values()))
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=told, programmingLanguage="python"
            )
        return facets


def _counting(source: BackwardCompatibleSource, until: int) -> list[Any]:
    return [source.member(version) for version in source.plan.counting(until)]


def _chains(view: FeatureView, until: int) -> dict[str, Any]:
    source = view.batch_source
    return {
        "view": view.name,
        "serving": source.serving,
        "chains": [
            {
                "from_version": member.version,
                "source": member.source.name,
                "transforms": [
                    hop.transform.sha256
                    for hop in reversed(source.newer_members)
                    if hop.version <= member.version
                ],
            }
            for member in _counting(source, until)
        ],
    }
