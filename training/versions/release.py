"""Every version of a finished run, published to a feast-bc catalog."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.cli.repo_source import parquet_source
from feast_bc.contracts.activation import activate_version
from feast_bc.publishing.publish import publish_version
from feast_bc.publishing.quality_gate import QualityGate
from feast_bc.publishing.refusal import GATE_CHECKS
from feast_bc.transforms.artifact import save_artifact
from feast_bc.transforms.holdout import Holdout
from training.encoders.encoder import ITEMS, USERS
from training.interactions.history import History
from training.versions.alignment import encode, evaluate_alignment, summary
from training.versions.snapshots import Snapshot, write_snapshots
from training.versions.version import Version

KEYS = {USERS: "user_id", ITEMS: "item_id"}
"""The join key of each embedding."""


def write_native(path: Path, family: str, version: Version, pasts: Sequence[History]) -> Path:
    """Write a version's vectors on these histories, as what a batch source holds.

    Args:
        path: the parquet file; `write_snapshots` says what is in it.
        family: the embedding.
        version: run on every history, its own and later ones.
        pasts: one or more.
    """
    snapshots = [
        Snapshot(
            past.instant,
            past.user_ids if family == USERS else past.item_ids,
            encode(version.encoder, family, past).numpy(),
        )
        for past in pasts
    ]
    return write_snapshots(path, KEYS[family], snapshots)


def publish_versions(
    versions: Sequence[Version],
    holdout: Holdout,
    folder: Path,
    catalog: EmbeddingCatalog,
    *,
    gate: QualityGate | None,
    say: Callable[[str], None],
) -> None:
    """Write vectors and maps of both embeddings, publish them in order, and maybe activate them.

    A version's vectors stand at the instant of its own training and at those of all later ones:
    what its model says of the entities then. So the catalog measures the alignment of any two
    versions on the same history, and the versions' views have a past to train consumers on.

    Args:
        versions: all, from 0.
        holdout: entities that no alignment saw.
        folder: takes the files, which the catalog refers to: they must stay there.
        catalog: where to publish.
        gate: each version that passes it is activated, from the instant of its training; None
            to activate none.
        say: takes a line per version.

    Raises:
        FeastBCError: the catalog holds other versions of these embeddings, or the quality gate
            refused one; the versions before it stay as they were published and activated.
    """
    pasts = [version.past for version in versions]
    for k, version in enumerate(versions):
        aligned = evaluate_alignment(versions[: k + 1], holdout)
        for family, key in KEYS.items():
            vectors = write_native(folder / family / f"v{k}.parquet", family, version, pasts[k:])
            artifact = folder / family / f"b{k}" if k else None
            if artifact is not None:
                shutil.rmtree(artifact, ignore_errors=True)
                metrics = dict(summary(aligned, family, k, k - 1))
                save_artifact(version.backward[family], artifact, holdout=holdout, metrics=metrics)
            change = publish_version(
                catalog,
                family,
                k,
                source=parquet_source(str(vectors), f"{family}_v{k}_vectors", "event_timestamp"),
                artifact=artifact,
                join_keys=[key],
                gate=gate,
                force=GATE_CHECKS if gate is None else (),
            )
            say(f"{family} version {k} published, {change.published.manifest.dim} dimensions")
            if k and gate is not None:
                activate_version(catalog, family, k, _utc(version.past.instant), gate=gate)
                say(f"{family} version {k} active from {version.past.instant}")


def _utc(instant: np.datetime64) -> datetime:
    naive: datetime = instant.astype("datetime64[us]").item()
    return naive.replace(tzinfo=timezone.utc)
