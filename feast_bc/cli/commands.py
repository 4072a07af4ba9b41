"""`feast-bc`: publish, activate, roll back, correct, retire, list and verify versions.

Commands import what they need once their arguments are right: Feast takes seconds, and help,
version and usage errors do without it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feast_bc.cli import output
from feast_bc.cli.contracts import (
    REPO,
    ask_contracts,
    config_of,
    contract,
    importing_from_here,
    tell_judgements,
)
from feast_bc.cli.corrections import relink, unretire, withdraw
from feast_bc.cli.exporting import export
from feast_bc.cli.fitting import fit
from feast_bc.cli.group import (
    ACTIVATE_CHECKS,
    CatalogGroup,
    common_options,
    gate_of,
    gate_options,
    instant,
    open_catalog,
    repo_option,
)
from feast_bc.cli.looking import doctor, plan, show
from feast_bc.cli.publishing import publish
from feast_bc.cli.signing import public_keys, sign, signature_option
from feast_bc.cli.starting import init
from feast_bc.cli.watching import report, watch
from feast_bc.errors import FeastBCError

if TYPE_CHECKING:
    from feast_bc.contracts.judgement import Judgement


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
      3  the quality gate refused to publish, relink or activate, a contract does not
           hold, or `watch` found drift
    """


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
@REPO
@gate_options(ACTIVATE_CHECKS, contracts=True)
@signature_option
@common_options
def activate(
    embedding: str,
    version: int,
    active_from: datetime | None,
    repo: str | None,
    force: tuple[str, ...],
    trusted: tuple[str, ...],
    **thresholds: float | None,
) -> None:
    """Let a version serve the views of all older versions, from an instant on.

    The quality gate looks at the alignment measured last, at publish or relink, for the chain to
    every older version that is not retired: on held-out entities where the artifact declares any,
    else on all. Refused are also an instant before the version's first vector, and one before
    the end of an earlier activation: training sets have used what was served up to there. And every
    contract on an older version is run, on native vectors and on what the chain makes of this
    version's: one that does not hold is refused. The exit code is 3.

    Activating an active version again changes nothing, unless another --from is named.

    \b
    Examples:
      feast-bc activate user_embedding 2
      feast-bc activate user_embedding 2 --from 2026-02-01T00:00:00+00:00 --min-cosine 0.9
      feast-bc activate user_embedding 2 --force centred-error --force contract:churn_model
    """
    catalog = open_catalog()

    from feast_bc.contracts.activation import activate_version

    told: list[Judgement] = []
    with importing_from_here():
        change = activate_version(
            catalog,
            embedding,
            version,
            active_from,
            gate=gate_of(**thresholds),
            force=force,
            signed_by=public_keys(trusted),
            config=config_of(repo),
            stages=output.stages,
            judged=tell_judgements(told),
        )
    published = change.published
    since = published.activations[-1].active_from.isoformat()
    forced = output.waived(published.events[-1]) if change.changed else ""
    done = f"{embedding} version {version} serves older views from {since}."
    already = f"{embedding} version {version} is active already, from {since}; nothing changed."
    output.result(
        {
            "activated": published.to_json(),
            "changed": change.changed,
            "contracts": [each.to_json() for each in told],
        },
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
@repo_option("Feature repo: tells which of its views served on read have to be materialized.")
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
@repo_option("Feature repo: tells which feature services still use the view.")
@click.option("--yes", is_flag=True, help="Retire it although consumers use it.")
@common_options
def retire(embedding: str, version: int, repo: str | None, yes: bool) -> None:
    """Stop offering a version's view, once no consumer reads it.

    Its transformation and its vectors stay: older views may need them. Retiring a version again
    changes nothing. A view on which a consumer has a contract, or, with --repo, that feature
    services use, is retired only with --yes, or once you say so.

    \b
    Examples:
      feast-bc retire user_embedding 0
      feast-bc retire user_embedding 0 --repo feature_repo
    """
    catalog = open_catalog()
    if not yes:
        ask_contracts(catalog.version(embedding, version))
    if repo is not None and not yes:
        from feast_bc.cli.consumers import ask_consumers

        ask_consumers(Path(repo), f"{embedding}_v{version}")
    change = catalog.retire(embedding, version)
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
@click.option(
    "--sources", is_flag=True, help="Also that every version's source holds what was published."
)
@repo_option("Feature repo: how --sources that are not files are read.")
@signature_option
@common_options
def verify(
    embedding: str | None, sources: bool, repo: str | None, trusted: tuple[str, ...]
) -> None:
    """Check every manifest, digest, link and event; exit 1 if something is wrong.

    A catalog without any embedding is wrong too: it may have been lost, or stand elsewhere. With
    --sources, what a run would refuse of a source is a problem as well.

    \b
    Examples:
      feast-bc verify
      feast-bc verify user_embedding --json
      feast-bc verify --require-signature release.pub
      feast-bc verify --sources --repo feature_repo
    """
    catalog = open_catalog()
    checks = catalog.verify(embedding, signed_by=public_keys(trusted))
    if sources:
        from feast_bc.cli.repo_source import load_config
        from feast_bc.publishing.source_check import source_checks

        config = load_config(Path(repo)) if repo else None
        for name in dict.fromkeys(check.subject.partition(":")[0] for check in checks):
            with suppress(FeastBCError):  # told above
                checks += source_checks(catalog.published(name), config)
    output.checks(checks)


for command in (
    contract,
    fit,
    publish,
    relink,
    withdraw,
    unretire,
    sign,
    show,
    plan,
    doctor,
    init,
    export,
    watch,
    report,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
