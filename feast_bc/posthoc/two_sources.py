"""A backward transformation from two sources of vectors, for teams without a training loop."""

from __future__ import annotations

from collections.abc import Sequence

from feast.data_source import DataSource
from feast.repo_config import RepoConfig

from feast_bc.errors import InvalidVectorsError
from feast_bc.native.batches import SourceBatches
from feast_bc.native.native_vectors import NativeVectors, read_native_vectors
from feast_bc.posthoc.fitted import Fitted, fit
from feast_bc.publishing.alignment import AlignmentReport
from feast_bc.publishing.alignment_report import alignment_report
from feast_bc.publishing.common_entities import common_entities
from feast_bc.publishing.measurement import Stages, silent
from feast_bc.transforms import BackwardTransform

MOST_ENTITIES = 1_000_000
"""So many entities at most are fitted on, a fixed random sample: more do not change the map."""


def fit_sources(
    new: DataSource,
    old: DataSource,
    *,
    version: int,
    join_keys: Sequence[str] = (),
    feature: str = "embedding",
    bias: bool = True,
    older: Sequence[BackwardTransform] = (),
    config: RepoConfig | None = None,
    stages: Stages = silent,
) -> tuple[Fitted, AlignmentReport]:
    """B_k from the newest vectors of the entities that both sources have.

    Args:
        new, old: the vectors of versions k and k-1.
        version: k >= 1.
        join_keys: the entity key columns; none for the one that both sources have beside
            timestamps and vectors.
        feature: the vector column.
        bias, older: as for `fit`.
        config: the feature repo's configuration, for sources that are not parquet files.
        stages: tells progress.

    Returns:
        What `fit` found, and its alignment as the gate of publish will see it.

    Raises:
        InvalidVectorsError, DimensionError: as `read_native_vectors` and `fit`; also where the
            join key is not clear, is of another type in the two, or they share no entity.
    """
    keys = list(join_keys) or [_shared_key(new, old, feature, config)]
    native: list[NativeVectors] = [
        read_native_vectors(
            source,
            join_keys=keys,
            feature=feature,
            config=config,
            progress=stages(f"checking the vectors of version {k}"),
        )
        for source, k in ((new, version), (old, version - 1))
    ]
    newer, previous = native
    for key, found, expected in zip(
        keys, newer.contents.key_kinds, previous.contents.key_kinds, strict=True
    ):
        if found != expected:
            raise InvalidVectorsError(
                f"Join key {key!r} is {found} in source {new.name!r} and {expected} in source "
                f"{old.name!r}; expected one type: one entity has one key in all versions. Write "
                "both alike."
            )
    pair = common_entities(newer, previous, MOST_ENTITIES)
    if not pair.common:
        raise InvalidVectorsError(
            f"Sources {new.name!r} ({newer.entities} entities) and {old.name!r} "
            f"({previous.entities}) share no value of {', '.join(keys)}; expected entities that "
            "both models have seen. Run the old model once more on today's entities, or correct "
            "--join-key."
        )
    fitted = fit(
        newer.take(pair.newer_rows),
        pair.older_vectors(previous),
        from_version=version,
        ids=pair.keys(),
        older=older,
        bias=bias,
    )
    report = alignment_report(
        newer,
        [fitted.transform],
        {version - 1: previous},
        holdout=fitted.holdout,
        progress=stages("measuring the alignment"),
    )
    return fitted, report


def _shared_key(new: DataSource, old: DataSource, feature: str, config: RepoConfig | None) -> str:
    """The one column that can be the join key."""
    sets = []
    for source in (new, old):
        batches = SourceBatches(source, feature=feature, join_keys=[], config=config)
        stamps = {source.timestamp_field, source.created_timestamp_column}
        found = batches.columns()
        missing = [each for each in (feature, source.timestamp_field) if each not in found]
        if missing:
            raise InvalidVectorsError(
                f"Source {source.name!r}: column(s) {', '.join(missing)} missing; it has "
                f"{', '.join(found)}. Name them with --feature and --timestamp-field."
            )
        sets.append([each for each in found if each not in {feature, *stamps}])
    shared = [column for column in sets[0] if column in sets[1]]
    if len(shared) != 1:
        raise InvalidVectorsError(
            f"Which column is the join key? Source {new.name!r} has {', '.join(sets[0]) or 'none'} "
            f"beside vectors and timestamps, source {old.name!r} has "
            f"{', '.join(sets[1]) or 'none'}; expected one that both have. Name it with "
            "--join-key."
        )
    return shared[0]
