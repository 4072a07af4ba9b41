"""The command that fits a transformation to two sets of vectors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feast_bc.cli import output
from feast_bc.cli.group import common_options, open_catalog
from feast_bc.errors import ArtifactError

if TYPE_CHECKING:
    from feast_bc.publishing.alignment import VersionAlignment
    from feast_bc.publishing.quality_gate import Verdict
    from feast_bc.transforms import BackwardTransform


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    metavar="DIR",
    required=True,
    help="Where the artifact goes; a folder that does not exist yet.",
)
@click.option(
    "--embedding",
    metavar="NAME",
    help="Its name in --catalog: the fit then looks after the chain to every older version too.",
)
@click.option(
    "--version",
    type=click.IntRange(min=1),
    help="Of the new vectors. Default: the next of --embedding, else 1.",
)
@click.option(
    "--join-key",
    "join_keys",
    multiple=True,
    metavar="COLUMN",
    help="Entity key; repeatable. Default: the one column that both files have beside the others.",
)
@click.option("--timestamp-field", default="event_timestamp", show_default=True)
@click.option("--feature", default="embedding", show_default=True, help="The vector column.")
@click.option("--no-bias", is_flag=True, help="A map through the origin.")
@common_options
def fit(
    old: str,
    new: str,
    out: str,
    embedding: str | None,
    version: int | None,
    join_keys: tuple[str, ...],
    timestamp_field: str,
    feature: str,
    no_bias: bool,
) -> None:
    """Fit a transformation to two sets of vectors, old and new, without any training.

    OLD and NEW are parquet files, folders or URIs with the vectors of the old and of the new model,
    for entities that both have seen; best of all, both models run on the same day's data. The map
    is the one of least squares from new to old vectors, fitted on nine in ten of the entities and
    measured on the rest. What comes out is what `publish --transform` takes.

    \b
    Examples:
      feast-bc fit users_v0.parquet users_v1.parquet --out runs/b1
      feast-bc fit users_v1.parquet users_v2.parquet --out runs/b2 --embedding user_embedding
    """
    if Path(out).exists():
        raise ArtifactError(f"{out} exists already; artifacts are immutable. Name a new folder.")
    older: list[BackwardTransform] = []
    if embedding is not None:
        from feast_bc.catalog.older_maps import older_maps

        older = older_maps(open_catalog(), embedding, version)
        version = len(older) + 1 if version is None else version
    version = version or 1
    whole_chain = all(each.as_affine() is not None for each in older)

    from feast_bc.cli.repo_source import parquet_source
    from feast_bc.posthoc.two_sources import fit_sources
    from feast_bc.publishing.quality_gate import QualityGate

    fitted, report = fit_sources(
        parquet_source(new, "NEW", timestamp_field),
        parquet_source(old, "OLD", timestamp_field),
        version=version,
        join_keys=join_keys,
        feature=feature,
        bias=not no_bias,
        older=older if whole_chain else (),
        stages=output.stages,
    )
    verdict = QualityGate().measure(report)
    fitted.save(out)
    found = fitted.report
    output.result(
        {
            "artifact": out,
            "version": version,
            "fitted": found.fitted,
            "held_out": found.held_out,
            "alignment": report.to_json(),
            "gate": verdict.to_json(),
            "report": asdict(found),
        },
        f"Fitted {version} -> {version - 1} on {found.fitted} entities that both have; {out} has "
        "the transformation.",
        output.report_table(report),
        "",
        _in_words(report.older[0], verdict, found.held_out),
        ""
        if whole_chain
        else "An older transformation is not affine: only the error at version "
        f"{version - 1} was looked after.",
        next_=f"feast-bc publish {embedding or 'EMBEDDING'} {version} --vectors {new} "
        f"--transform {out}",
    )


def _in_words(entry: VersionAlignment, verdict: Verdict, held_out: int) -> str:
    """What the figures mean, and what the gate will say."""
    _, alignment = entry.decisive
    told = [f"What this means, on {held_out} entities that the fit has not seen:"]
    if alignment.centred_error is not None:
        share = max(0.0, 1 - alignment.centred_error**2)
        told.append(
            f"- The map explains {share:.1%} of what tells old vectors apart (centred error "
            f"{alignment.centred_error:.3f}; 0 is perfect, 1 is one vector for all)."
        )
    if alignment.neighbour_overlap is not None:
        told.append(
            f"- Of the 10 nearest neighbours of an entity, {10 * alignment.neighbour_overlap:.1f} "
            "stay."
        )
    if entry.probes is not None and entry.probes.by_kind:
        kind, kept = min(entry.probes.by_kind.items(), key=lambda each: each[1])
        told.append(
            f"- Small consumer models keep at least {kept:.1%} of their skill ({kind} models the "
            "least). Consumers that must not lose more register a contract."
        )
    if verdict.passed:
        told.append("- The quality gate will let it pass.")
    else:
        told.append(
            f"- The quality gate will refuse it: {'; '.join(verdict.reasons)}. "
            f"{' '.join(verdict.advice)}"
        )
    return "\n".join(told)
