"""`feast-bc`: publish, activate, roll back, correct, retire, list and verify versions.

Commands import what they need once their arguments are right: Feast takes seconds, and help,
version and usage errors do without it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feast_bc.cli import output
from feast_bc.cli.corrections import relink, unretire, withdraw
from feast_bc.cli.group import (
    ACTIVATE_CHECKS,
    PUBLISH_CHECKS,
    CatalogGroup,
    common_options,
    gate_of,
    gate_options,
    instant,
    open_catalog,
)
from feast_bc.cli.signing import Signer, public_keys, sign, sign_option, signature_option

if TYPE_CHECKING:
    from feast_bc.publishing.refusal import Check


@click.group(cls=CatalogGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="feast-bc", message="feast-bc %(version)s")
@common_options
def main(**_: Any) -> None:
    """Backward compatible embeddings for Feast.

    A catalog holds the versions of your embeddings. Each version k >= 1 comes with a backward
    transformation k -> k-1, so that vectors of the newest version can serve the feature views
    of all older ones, and their consumers never retrain.

    \b
    A release, from start to end:
      export FEAST_BC_CATALOG=s3://ml/embeddings
      feast-bc publish user_embedding 1 --vectors v1.parquet --transform runs/v1
      feast-bc activate user_embedding 1 --from 2026-02-01T00:00:00+00:00
      feast apply
      feast materialize-incremental $(date -u +%Y-%m-%dT%H:%M:%S)
      feast-bc rollback user_embedding          # if something is wrong

    \b
    Exit codes:
      0  done
      1  an error, or `verify` found damage
      2  wrong usage
      3  the quality gate refused to publish, relink or activate
    """


@main.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=0))
@click.option("--vectors", metavar="PATH", help="Parquet file, folder or URI with the vectors.")
@click.option("--source", "source_name", metavar="NAME", help="Or: a data source of --repo.")
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Feature repo: defines --source, and how sources that are not files are read.",
)
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

    A published version is immutable; publishing the same again changes nothing.

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
        config=load_config(Path(repo)) if repo else None,
        gate=gate_of(**thresholds),
        force=force,
        stages=output.stages,
    )
    signed = signer.sign(embedding, version)
    published, manifest = change.published, change.published.manifest
    done = (
        f"Published {embedding} version {version}: {manifest.dim} dimensions, source "
        f"{manifest.source.name}."
    )
    already = (
        f"{embedding} version {version} was published already, at "
        f"{manifest.published_at.isoformat()}; nothing changed."
    )
    output.result(
        {"published": published.to_json(), "changed": change.changed, "signed": signed},
        done if change.changed else already,
        f"Signed: {', '.join(signed)}." if signed else "",
        output.alignment_table(published),
        output.warning(published),
        next_=f"feast-bc activate {embedding} {version}"
        if version
        else "feast apply, then feast materialize",
    )


@main.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=1))
@click.option(
    "--from",
    "active_from",
    type=instant,
    metavar="INSTANT",
    help="Instant of event time. Default: now.",
)
@gate_options(ACTIVATE_CHECKS)
@signature_option
@common_options
def activate(
    embedding: str,
    version: int,
    active_from: datetime | None,
    force: tuple[Check, ...],
    trusted: tuple[str, ...],
    **thresholds: float | None,
) -> None:
    """Let a version serve the views of all older versions, from an instant on.

    The quality gate looks at the alignment measured last, at publish or relink, for the chain to
    every older version that is not retired: on held-out entities where the artifact declares any,
    else on all. Refused are also an instant before the version's first vector, and one before
    the end of an earlier activation: training sets have used what was served up to there. The exit
    code is 3.

    Activating an active version again changes nothing, unless another --from is named.

    \b
    Examples:
      feast-bc activate user_embedding 2
      feast-bc activate user_embedding 2 --from 2026-02-01T00:00:00+00:00 --min-cosine 0.9
      feast-bc activate user_embedding 2 --force centred-error
    """
    catalog = open_catalog()

    from feast_bc.publishing.quality_gate import activate_version

    change = activate_version(
        catalog,
        embedding,
        version,
        active_from,
        gate=gate_of(**thresholds),
        force=force,
        signed_by=public_keys(trusted),
    )
    published = change.published
    since = published.activations[-1].active_from.isoformat()
    forced = output.waived(published.events[-1]) if change.changed else ""
    done = f"{embedding} version {version} serves older views from {since}."
    already = f"{embedding} version {version} is active already, from {since}; nothing changed."
    output.result(
        {"activated": published.to_json(), "changed": change.changed},
        done if change.changed else already,
        f"FORCED past {forced}; the catalog records it." if forced else "",
        next_="feast apply, then feast materialize",
    )


@main.command()
@click.argument("embedding")
@click.option(
    "--version", type=click.IntRange(min=1), help="Default: the newest as of the last activation."
)
@click.option("--at", type=instant, metavar="INSTANT", help="Instant of event time. Default: now.")
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Feature repo: tells which of its views served on read have to be materialized.",
)
@common_options
def rollback(embedding: str, version: int | None, at: datetime | None, repo: str | None) -> None:
    """End an activation: from an instant on, the next older version serves again.

    Roll back at the activation's own instant to undo it altogether. The version may be
    activated again.

    Without --version it concerns the newest version that was active right after the last
    activation. Once that is rolled back, running the command again changes nothing: name the
    --version to roll back another.

    Views that are served on read keep the values of so many rollbacks as their rollback_versions
    says (1 by default); those serve right after the apply. Beyond that, reads are refused until
    the views are materialized: --repo names them.

    \b
    Examples:
      feast-bc rollback user_embedding
      feast-bc rollback user_embedding --version 2 --at 2026-02-03T12:00:00+00:00
    """
    catalog = open_catalog()
    change = catalog.rollback(embedding, version, at=at)
    rolled_back = change.published.to_json()
    until = rolled_back["activations"][-1]["active_until"]
    named = f"{embedding} version {change.published.version}"
    done = f"{named} serves older views no longer, from {until} on."
    already = (
        f"{named} was rolled back already, from {until} on; nothing changed. Name another with "
        "--version."
    )
    beyond: list[str] = []
    if repo is not None:
        from feast_bc.cli.kept_vectors import beyond_rollbacks

        end = change.published.activations[-1].active_until
        beyond = beyond_rollbacks(Path(repo), embedding, catalog.versions(embedding), end)
    refused = (
        f"Reads of {', '.join(beyond)} are refused once this is applied, until they are "
        "materialized: this goes beyond their rollback_versions."
    )
    views = "".join(f" --views {name}" for name in beyond)
    output.result(
        {"rolled_back": rolled_back, "changed": change.changed, "to_materialize": beyond},
        done if change.changed else already,
        refused if beyond else "",
        next_="feast apply, then feast materialize"
        + (f" --disable-event-timestamp{views}" if beyond else ""),
    )


@main.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=0))
@common_options
def retire(embedding: str, version: int) -> None:
    """Stop offering a version's view, once no consumer reads it.

    Its transformation and its vectors stay: older views may need them. Retiring a version again
    changes nothing.

    \b
    Example:
      feast-bc retire user_embedding 0
    """
    change = open_catalog().retire(embedding, version)
    done = (
        f"{embedding} version {version} is retired; the view {embedding}_v{version} goes with "
        "the next apply."
    )
    already = f"{embedding} version {version} was retired already; nothing changed."
    output.result(
        {"retired": change.published.to_json(), "changed": change.changed},
        done if change.changed else already,
        next_="feast apply",
    )


@main.command()
@click.argument("embedding", required=False)
@common_options
def versions(embedding: str | None) -> None:
    """List the versions in the catalog.

    \b
    Examples:
      feast-bc versions
      feast-bc versions user_embedding --json
    """
    catalog = open_catalog()
    names = catalog.embeddings() if embedding is None else [embedding]
    listed = {name: catalog.published(name) for name in names}
    output.result(
        {"versions": {name: [v.to_json() for v in found] for name, found in listed.items()}},
        output.versions_table(listed) or f"{catalog.root} is empty.",
        next_=None if listed else "feast-bc publish EMBEDDING 0 --vectors PATH --join-key COLUMN",
    )


@main.command()
@click.argument("embedding", required=False)
@signature_option
@common_options
def verify(embedding: str | None, trusted: tuple[str, ...]) -> None:
    """Check every manifest, digest, link and event; exit 1 if something is wrong.

    A catalog without any embedding is wrong too: it may have been lost, or stand elsewhere.

    \b
    Examples:
      feast-bc verify
      feast-bc verify user_embedding --json
      feast-bc verify --require-signature release.pub
    """
    checks = open_catalog().verify(embedding, signed_by=public_keys(trusted))
    damaged = [check for check in checks if not check.ok]
    remarkable = [check for check in checks if check.problem or check.note]
    output.result(
        {
            "ok": not damaged,
            "checks": [
                {"subject": c.subject, "problem": c.problem, "note": c.note} for c in checks
            ],
        },
        *(f"{'ok  ' if check.ok else 'BAD '} {check.subject}" for check in checks),
        *(f"\n{check.subject}: {check.problem or check.note}" for check in remarkable),
        f"{len(checks)} checks, {len(damaged)} problem(s).",
    )
    if damaged:
        click.get_current_context().exit(1)


for command in (relink, withdraw, unretire, sign):
    main.add_command(command)


if __name__ == "__main__":
    main()
