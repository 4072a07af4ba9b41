"""The commands that look at what is served: watch, report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feast_bc.cli import output
from feast_bc.cli.group import common_options, open_catalog, repo_option
from feast_bc.errors import CatalogError, DriftError, UnknownVersionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast import FeatureStore

    from feast_bc.observed.drift import Drift


@click.command()
@click.argument("embedding")
@repo_option(
    "Feature repo: compare what its online store serves. Without it: the catalog's chains "
    "over what the sources hold today."
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Entities to compare per view.",
)
@click.option(
    "--max-centred-error",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    help="Limit of ||z~ - z|| / ||z - mean||; the mean vector alone has 1.",
)
@click.option(
    "--max-growth",
    type=click.FloatRange(min=1),
    metavar="FACTOR",
    help="Limit too: so many times the error that was measured at publish.",
)
@common_options
def watch(
    embedding: str,
    repo: str | None,
    sample: int,
    max_centred_error: float,
    max_growth: float | None,
) -> None:
    """Compare served vectors with native ones, where an entity has both; exit 3 past a limit.

    The native vectors are those that the view's own version has in its batch source. Where its
    model does not run any more they grow old, and the error with them; keep a small set of
    entities on the old model if you want to watch for years.

    Run it on a schedule. A watch that finds nothing to compare fails, with exit code 1.

    \b
    Examples:
      feast-bc watch user_embedding --repo feature_repo --max-growth 1.5
      feast-bc watch user_embedding --catalog s3://ml/embeddings
    """
    if repo is None:
        from feast_bc.observed.drift import chain_drift, check_drift

        found = chain_drift(open_catalog().shelf(embedding), sample, output.stages)
    else:
        from feast_bc.observed.drift import check_drift, online_drift
        from feast_bc.observed.sample import family

        store = _store(repo)
        views = family(store, embedding)
        if not views:
            raise UnknownVersionError(
                f"the registry of {repo} has no view of {embedding!r}. Run `feast apply` there, or "
                "name another embedding."
            )
        found = online_drift(store, views, sample)
    try:
        check_drift(found, max_centred_error, max_growth)
    except DriftError as error:
        if output.as_json():
            output.result(
                {**_drifts(found), "error": {"type": "DriftError", "message": str(error)}}
            )
            click.get_current_context().exit(3)
        click.echo(_table(found))
        raise
    output.result(_drifts(found), _table(found))


def _store(repo: str) -> FeatureStore:
    from feast import FeatureStore

    from feast_bc.cli.repo_source import load_config

    load_config(Path(repo))  # says clearly what is wrong with it
    return FeatureStore(str(Path(repo).resolve()))


def _drifts(found: Sequence[Drift]) -> dict[str, object]:
    return {"drift": [asdict(drift) for drift in found]}


def _table(found: Sequence[Drift]) -> str:
    rows = [["view", "from", "entities", "centred error", "published"]]
    rows += [
        [
            drift.view,
            f"v{drift.from_version}",
            str(drift.entities),
            output.number(drift.error),
            output.number(drift.published),
        ]
        for drift in found
    ]
    return output.table(rows)


@click.command()
@click.argument("embedding")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="Where to write the page. Not needed with --json.",
)
@repo_option("Feature repo: adds consumers, freshness, nulls and errors of what is served now.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Entities to look at, with --repo.",
)
@common_options
def report(embedding: str, out: str | None, repo: str | None, sample: int) -> None:
    """Write a page on an embedding: who serves whom, errors, consumers, storage.

    The page is one file that loads nothing. It can be printed, read in a dark browser, and by
    keyboard and screen reader. The same figures come as JSON with --json.

    \b
    Examples:
      feast-bc report user_embedding --out users.html
      feast-bc report user_embedding --repo feature_repo --json
    """
    if out is None and not output.as_json():
        raise click.UsageError("Say where to write the page: --out FILE, or ask for --json.")

    from feast_bc import clock
    from feast_bc.columns.instants import to_datetime
    from feast_bc.observed.overview import overview
    from feast_bc.observed.page import page

    shelf = open_catalog().shelf(embedding)
    figures = {**overview(shelf, to_datetime(clock.now())), "live": None}
    if repo is not None:
        from feast_bc.cli.consumers import consumers
        from feast_bc.observed.live import live

        users = consumers(Path(repo))
        figures["live"] = live(_store(repo), embedding, users, sample)
    if out is not None:
        try:
            Path(out).write_text(page(figures), encoding="utf-8")
        except OSError as error:
            raise CatalogError(
                f"{out} cannot be written ({error.strerror}). Name a file in a folder that exists."
            ) from error
    output.result(figures, f"Wrote {out}.")
