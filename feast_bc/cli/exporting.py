"""The command that hands values on to an index that stands elsewhere: export."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feast_bc.cli import output
from feast_bc.cli.group import common_options, instant, repo_option

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, FeatureView

STDOUT = "-"


@click.command()
@click.argument("view")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="A parquet file; - for an Arrow stream on stdout.",
)
@click.option(
    "--since",
    metavar="FILE|INSTANT",
    help="Only what changed since an earlier export (its parquet file), or since an instant.",
)
@click.option("--at", type=instant, metavar="INSTANT", help="Values as of then. Default: now.")
@repo_option("Feature repo.", default=".")
@common_options
def export(view: str, out: str, since: str | None, at: datetime | None, repo: str) -> None:
    """Write the values of a version view, or what changed of them, for an index elsewhere.

    Values come from the batch sources by the rule: what a full materialization would write,
    whatever stands online. What was pushed to the online store alone is not among them. The table
    has the join keys, the vectors and their event timestamps.

    With --since, rows with a vector are to be put into the index, those whose vector is null to be
    taken out. Name the file of the earlier export: if the view's plan changed since then (an
    activation, a rollback, a relink, another TTL), everything is written, and "complete" says so.
    An instant tells of rows and cut-overs alone. Rows that arrive late, with timestamps from
    before, are not among what changed, as with materialize-incremental.

    \b
    Examples:
      feast-bc export user_embedding_v0 --out v0.parquet
      feast-bc export user_embedding_v0 --since v0.parquet --out changes.parquet
      feast-bc export user_embedding_v0 --since 2026-02-01T00:00:00+00:00 --out - | python load.py
    """
    if out == STDOUT and output.as_json():
        raise click.UsageError("--json and --out - both write to stdout: leave one out.")

    from feast_bc import clock
    from feast_bc.columns.instants import to_datetime
    from feast_bc.offline.export import Export, exported

    store, found = _version_view(Path(repo), view)
    after = Export.of_file(Path(since)) if since is not None and Path(since).is_file() else None
    start = None if since is None or after is not None else _instant(since)
    until = at or to_datetime(clock.now())
    table, told = exported(store, found, until, since=start, after=after)
    _write(table, out)
    gone = table[found.features[0].name].null_count
    what = (
        f"all {len(table)} values of {view}"
        if told.complete
        else f"{len(table) - gone} new values of {view} and {gone} entities that have none any more"
    )
    as_of = until.isoformat()
    again = "the view's plan is another one than the earlier export's; " if since else ""
    summary = f"Wrote {again if told.complete else ''}{what}, as of {as_of}."
    if out == STDOUT:
        click.echo(summary, err=True)
        return
    output.result(
        {**told.as_json(), "rows": len(table), "without_value": gone, "file": out},
        summary,
        next_=f"feast-bc export {view} --since {out} --out CHANGES",
    )


def _version_view(repo: Path, name: str) -> tuple[FeatureStore, FeatureView]:
    from feast import FeatureStore

    from feast_bc.cli.repo_source import load_config
    from feast_bc.errors import CatalogError
    from feast_bc.views.provider_line import check_provider
    from feast_bc.views.stored_views import version_source

    config = load_config(repo)
    store = FeatureStore(repo_path=str(repo.resolve()))
    versions = {v.name: v for v in store.list_feature_views() if version_source(v) is not None}
    if name not in versions:
        raise CatalogError(
            f"{name!r} is no version view of the feature repo {repo}; expected one of "
            f"{', '.join(sorted(versions)) or 'those that feast apply brings: there is none'}."
        )
    check_provider(config, name, versions[name].batch_source.embedding)
    return store, versions[name]


def _instant(text: str) -> datetime:
    """An instant of `--since`, where it is no file."""
    try:
        return instant(text)
    except click.BadParameter:
        raise click.UsageError(
            f"--since {text!r}: expected the parquet file of an earlier export, or an ISO 8601 "
            "instant with time zone; found neither."
        ) from None


def _write(table: pa.Table, out: str) -> None:
    """The whole table or nothing: a reader never sees half a file."""
    if out == STDOUT:
        from pyarrow.ipc import new_stream

        with new_stream(sys.stdout.buffer, table.schema) as stream:
            stream.write_table(table)
        return

    import pyarrow.parquet as pq

    from feast_bc.errors import CatalogError

    beside = Path(f"{out}.part")
    try:
        pq.write_table(table, beside)
        beside.replace(out)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise CatalogError(f"{out} cannot be written ({error}). Name another --out.") from error
