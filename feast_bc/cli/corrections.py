"""The commands that correct a release: relink, withdraw, unretire."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from feast_bc.cli import output
from feast_bc.cli.contracts import REPO, check_command, importing_from_here, tell_judgements
from feast_bc.cli.group import (
    GATE_CHECKS,
    common_options,
    gate_of,
    gate_options,
    open_catalog,
)
from feast_bc.cli.signing import Signer, sign_option

if TYPE_CHECKING:
    from feast_bc.contracts.judgement import Judgement


@click.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=1))
@click.option(
    "--transform",
    "artifact",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    required=True,
    help="Artifact of the corrected transformation k -> k-1.",
)
@REPO
@gate_options(GATE_CHECKS, contracts=True)
@sign_option
@common_options
def relink(
    embedding: str,
    version: int,
    artifact: str,
    repo: str | None,
    force: tuple[str, ...],
    key: str | None,
    **thresholds: float | None,
) -> None:
    """Put a corrected transformation in the place of a published version's.

    For a version that was published with a wrong transformation: the vectors stay, the old file
    too, and what is read after the next `feast apply` goes through the new one. It is measured and
    gated as by `publish`, and so are the chains of the newer versions, which lead through it. Where
    one of these versions serves older views, contracts are run as by `activate`.
    Versions and dimensions must be those of the old one. Relinking to the same again changes
    nothing.

    \b
    Example:
      feast-bc relink user_embedding 2 --transform runs/b2-corrected
    """
    catalog, signer = open_catalog(), Signer(key)

    from feast_bc.cli.repo_source import load_config
    from feast_bc.contracts.relink import relink_version

    told: list[Judgement] = []
    with importing_from_here():
        change = relink_version(
            catalog,
            embedding,
            version,
            artifact=artifact,
            config=load_config(Path(repo)) if repo else None,
            gate=gate_of(**thresholds),
            force=force,
            stages=output.stages,
            judged=tell_judgements(told),
        )
    signed = signer.sign(embedding, version)
    published = change.published
    done = f"{embedding} version {version} has another transformation {version} -> {version - 1}."
    already = f"{embedding} version {version} has that transformation already; nothing changed."
    # A newer version may be out of step now, or in step again.
    newer = catalog.published(embedding)[version + 1 :] if change.changed else []
    output.result(
        {
            "relinked": published.to_json(),
            "changed": change.changed,
            "signed": signed,
            "contracts": [each.to_json() for each in told],
        },
        done if change.changed else already,
        f"Signed: {', '.join(signed)}." if signed else "",
        output.alignment_table(published),
        *(output.alignment_table(each) for each in newer),
        *(output.warning(each) for each in (published, *newer)),
        next_="feast apply, then feast materialize",
    )


@click.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=0))
@common_options
def withdraw(embedding: str, version: int) -> None:
    """Take back the newest version, if it was never activated.

    Its number may be published again, with other vectors or another transformation. Its files
    stay. Withdrawing a version again changes nothing.

    \b
    Example:
      feast-bc withdraw user_embedding 2
    """
    change = open_catalog().withdraw(embedding, version)
    done = (
        f"{embedding} version {version} is withdrawn; the view {embedding}_v{version} goes with "
        "the next apply."
    )
    already = f"{embedding} version {version} was withdrawn already; nothing changed."
    output.result(
        {"withdrawn": change.published.to_json(), "changed": change.changed},
        done if change.changed else already,
        next_="feast apply",
    )


@click.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=0))
@common_options
def unretire(embedding: str, version: int) -> None:
    """Offer the view of a retired version again.

    For a version that is not retired nothing changes.

    \b
    Example:
      feast-bc unretire user_embedding 0
    """
    catalog = open_catalog()
    change = catalog.unretire(embedding, version)
    # Nobody ran them while it was retired.
    versions = catalog.published(embedding)
    contracts = check_command(embedding, versions, version) if versions[version].contracts else None
    done = (
        f"{embedding} version {version} is offered again; the view {embedding}_v{version} comes "
        "with the next apply."
    )
    already = f"{embedding} version {version} is not retired; nothing changed."
    output.result(
        {"unretired": change.published.to_json(), "changed": change.changed},
        done if change.changed else already,
        next_=", then ".join(filter(None, [contracts, "feast apply", "feast materialize"])),
    )
