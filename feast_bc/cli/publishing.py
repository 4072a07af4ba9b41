"""The command that publishes a version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from feast_bc.cli import output
from feast_bc.cli.group import (
    PUBLISH_CHECKS,
    common_options,
    gate_of,
    gate_options,
    open_catalog,
    repo_option,
)
from feast_bc.cli.signing import Signer, sign_option

if TYPE_CHECKING:
    from feast_bc.publishing.refusal import Check


def address(text: str) -> str:
    """A URI without a login, which the catalog would keep for ever."""
    parts = urlsplit(text)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f]+", text) or "@" in parts.netloc:
        raise click.BadParameter(
            f"{text!r} is no address: expected a scheme and no login, such as "
            "https://mlflow.example.com/#/experiments/1/runs/ab12 or models:/encoder/3."
        )
    return text


@click.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=0))
@click.option("--vectors", metavar="PATH", help="Parquet file, folder or URI with the vectors.")
@click.option("--source", "source_name", metavar="NAME", help="Or: a data source of --repo.")
@repo_option("Feature repo: defines --source, and how sources that are not files are read.")
@click.option(
    "--transform",
    "artifact",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Artifact of the transformation k -> k-1; needed from version 1 on.",
)
@click.option(
    "--join-key",
    "join_keys",
    multiple=True,
    metavar="COLUMN",
    help="Entity key; repeatable. Default: as the older versions.",
)
@click.option(
    "--timestamp-field", default="event_timestamp", show_default=True, help="For --vectors."
)
@click.option("--feature", default="embedding", show_default=True, help="The vector column.")
@click.option(
    "--allow-shrink",
    "max_shrink",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Of a published version: up to this share of its rows may be gone, and what its source "
    "holds now counts from the next apply on. Without it: 0.01, and nothing new is noted.",
)
@click.option(
    "--note", metavar="TEXT", help="What to say of the version; `feast-bc show` prints it."
)
@click.option(
    "--run-url",
    type=address,
    metavar="URL",
    help="The run that made it, in an experiment tracker such as MLflow; `show` tells it.",
)
@click.option(
    "--model-uri",
    type=address,
    metavar="URI",
    help="The model, such as models:/encoder/3; `show` tells it.",
)
@gate_options(PUBLISH_CHECKS)
@sign_option
@common_options
def publish(
    embedding: str,
    version: int,
    vectors: str | None,
    source_name: str | None,
    repo: str | None,
    artifact: str | None,
    join_keys: tuple[str, ...],
    timestamp_field: str,
    feature: str,
    max_shrink: float | None,
    note: str | None,
    run_url: str | None,
    model_uri: str | None,
    force: tuple[Check, ...],
    key: str | None,
    **thresholds: float | None,
) -> None:
    """Check a version's vectors, measure its transformation, and publish it.

    Checked: columns, type, dimension, NaN and infinity, null vectors, keys and timestamps, time
    zones, duplicates of entity and timestamp. Measured: how well the chain to every older
    version reproduces its native vectors z, on all entities that both have and on those that the
    fit held out; on 100000 entities at most. The centred error is ||z~ - z|| / ||z - mean||: 1 is
    no better than the mean vector, whose own uncentred error ||z - mean|| / ||z|| stands beside
    it. Where that is small, a high mean cosine says little. What the quality gate of `activate`
    would refuse is refused already here, with exit code 3: a wrong transformation is in the way of
    all versions to come.

    A published version is immutable; publishing the same again changes nothing. The catalog notes
    what the source holds (how many rows, up to when, digests of a sample): a source that is empty,
    cut or overwritten later is refused, here and by every run. Rows may be appended.

    \b
    Examples:
      feast-bc publish user_embedding 0 --vectors users_v0.parquet --join-key user_id
      feast-bc publish user_embedding 1 --vectors users_v1.parquet --transform runs/v1
      feast-bc publish user_embedding 1 --source users_v1 --repo feature_repo --transform runs/v1
    """
    if (vectors is None) == (source_name is None):
        raise click.UsageError("Say where the vectors are: either --vectors or --source.")
    if source_name is not None and repo is None:
        raise click.UsageError("--source NAME needs --repo DIR, the feature repo that defines it.")
    catalog, signer = open_catalog(), Signer(key)

    from feast_bc.cli.repo_source import find_source, load_config, parquet_source
    from feast_bc.publishing.publish import publish_version

    if vectors is not None:
        source = parquet_source(vectors, f"{embedding}_v{version}_vectors", timestamp_field)
    else:
        source = find_source(Path(repo or ""), source_name or "")
    change = publish_version(
        catalog,
        embedding,
        version,
        source=source,
        artifact=artifact,
        join_keys=join_keys or None,
        feature=feature,
        links={k: v for k, v in (("run", run_url), ("model", model_uri)) if v is not None},
        config=load_config(Path(repo)) if repo else None,
        gate=gate_of(**thresholds),
        force=force,
        max_shrink=max_shrink,
        note=note,
        stages=output.stages,
    )
    signed = signer.sign(embedding, version)
    published, manifest = change.published, change.published.manifest
    recounted = change.changed and published.events[-1].event == "recount"
    done = (
        f"Published {embedding} version {version}: {manifest.dim} dimensions, source "
        f"{manifest.source.name}."
    )
    already = (
        f"{embedding} version {version} was published already, at "
        f"{manifest.published_at.isoformat()}; "
        + ("what its source holds now is noted." if recounted else "nothing changed.")
        + (" The --note was not kept: that of its publication stands." if note else "")
    )
    output.result(
        {"published": published.to_json(), "changed": change.changed, "signed": signed},
        done if change.changed and not recounted else already,
        f"Signed: {', '.join(signed)}." if signed else "",
        output.alignment_table(published),
        output.warning(published),
        next_=f"feast-bc activate {embedding} {version}"
        if version and not recounted
        else "feast apply, then feast materialize",
    )
