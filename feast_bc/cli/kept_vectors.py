"""What a rollback means for views that are served on read, as a feature repo has them applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from feast import FeatureStore

from feast_bc import clock
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.cli.repo_source import load_config
from feast_bc.columns.instants import to_micros
from feast_bc.rule import Activation, active_at
from feast_bc.views.stored_views import is_on_read


def beyond_rollbacks(
    repo: Path, embedding: str, versions: Sequence[EmbeddingVersion], at: datetime | None
) -> list[str]:
    """The views whose values may not be at hand after a rollback, until they are materialized.

    The online store is taken to have what the applied views need: they were materialized since.

    Args:
        repo: a feature repo; its registry has the views as they were before the rollback.
        embedding: the embedding that is rolled back.
        versions: its versions after the rollback.
        at: the instant of the rollback; None: there was none.
    """
    now = clock.now() if at is None else max(clock.now(), to_micros(at))
    load_config(repo)  # says clearly what is wrong with it
    activations = {member.version: member.activations for member in versions}
    after = _counting(activations, now)
    beyond = []
    for view in FeatureStore(repo_path=str(repo.resolve())).list_feature_views():
        if not is_on_read(view) or view.batch_source.embedding != embedding:
            continue
        source = view.batch_source
        gone = [k for k in source.plan.counting(now)[:-1] if k not in after]
        if len(gone) > source.rollback_versions:
            beyond.append(view.name)
    return beyond


def _counting(activations: Mapping[int, Sequence[Activation]], at: int) -> set[int]:
    """The versions that serve older views at an instant."""
    instant = np.array([at])
    return {k for k, spans in activations.items() if active_at(spans, instant).all()}
