"""The commands that only look: show, plan, doctor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feast_bc.cli import output
from feast_bc.cli.contracts import contract_lines, judgements_table, last_run
from feast_bc.cli.group import CATALOG, common_options, instant, open_catalog, repo_option

if TYPE_CHECKING:
    from feast_bc.catalog.outlook import Outlook
    from feast_bc.catalog.published_version import PublishedVersion
    from feast_bc.rule import Activation


@click.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=0), required=False)
@common_options
def show(embedding: str, version: int | None) -> None:
    """Tell everything that the catalog has of a version; of all versions without one.

    \b
    Examples:
      feast-bc show user_embedding 2
      feast-bc show user_embedding --json
    """

    catalog = open_catalog()
    found = (
        catalog.published(embedding) if version is None else [catalog.version(embedding, version)]
    )
    output.result(
        {"versions": [each.to_json() for each in found]},
        "\n\n".join(_description(each) for each in found),
    )


@click.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--rollback", is_flag=True, help="Look at its rollback instead of its activation.")
@click.option("--at", type=instant, metavar="INSTANT", help="Instant of event time. Default: now.")
@repo_option("Feature repo: names the feature services that use each view.")
@common_options
def plan(
    embedding: str, version: int, rollback: bool, at: datetime | None, repo: str | None
) -> None:
    """Tell what an activation would change, or a rollback, before it is done.

    For every view: which version gives its values before and after, and which consumers have a
    contract on it. Where an entity has no row of the first version, the next one counts. Nothing is
    changed, and no contract is run: `feast-bc contract check` does that.

    \b
    Examples:
      feast-bc plan user_embedding 2 --repo feature_repo
      feast-bc plan user_embedding 2 --rollback
    """
    from feast_bc.catalog.event import ACTIVATE, ROLLBACK, Event
    from feast_bc.catalog.outlook import outlook
    from feast_bc.catalog.published_version import pick

    shelf = open_catalog().shelf(embedding)
    published = pick(shelf.versions, version)
    when = at or datetime.now(timezone.utc)
    event = Event.new(ROLLBACK if rollback else ACTIVATE, version, when)
    changes = outlook(shelf, event, when)
    users: Mapping[str, Sequence[str]] = {}
    if repo is not None:
        from feast_bc.cli.consumers import consumers

        users = consumers(Path(repo))
    verb = "rollback" if rollback else "activate"
    instant_option = "" if at is None else f" {'--at' if rollback else '--from'} {at.isoformat()}"
    names = [f"{embedding}_v{change.version}" for change in changes]
    contracts = {
        each.version: [held.consumer for held in each.contracts] for each in shelf.versions
    }
    output.result(
        {
            "event": event.event,
            "version": version,
            "at": when.isoformat(),
            "views": [
                {
                    "view": name,
                    "before": change.before,
                    "after": change.after,
                    "consumers": list(users.get(name, ())),
                    "contracts": contracts[change.version],
                }
                for name, change in zip(names, changes, strict=True)
            ],
        },
        _changes_table(names, changes, users, contracts, with_consumers=repo is not None),
        "" if rollback else output.alignment_table(published),
        "" if rollback else output.warning(published),
        "Nothing was changed.",
        next_=f"feast-bc {verb} {embedding} {f'--version {version}' if rollback else version}"
        f"{instant_option}",
    )


@click.command()
@repo_option("Feature repo.", default=".")
@common_options
def doctor(repo: str) -> None:
    """Look a feature repo over; exit 1 if something is wrong.

    Looked at: Feast's version, feature_store.yaml and its provider, the registry and whether the
    catalog is newer, the catalog itself, every version's source, the transformations, and whether
    the online store answers and was materialized. Each problem comes with its remedy.

    \b
    Example:
      feast-bc doctor --repo feature_repo --catalog s3://ml/embeddings
    """
    from feast_bc.cli.examination import Examination

    named = click.get_current_context().meta.get(CATALOG)
    output.checks(Examination(Path(repo), open_catalog() if named else None).run())


def _changes_table(
    names: Sequence[str],
    changes: Sequence[Outlook],
    users: Mapping[str, Sequence[str]],
    contracts: Mapping[int, Sequence[str]],
    *,
    with_consumers: bool,
) -> str:
    # Columns that would be empty are left out.
    with_contracts = any(contracts[change.version] for change in changes)
    heads = ["view", "served by now", "served by then"]
    heads += ["consumers"] * with_consumers + ["contracts"] * with_contracts
    rows = [heads]
    for name, change in zip(names, changes, strict=True):
        then = _in_words(change.after) if change.changes else "the same"
        consumers = [", ".join(users.get(name, ())) or "-"] if with_consumers else []
        if with_contracts:
            consumers.append(", ".join(contracts[change.version]) or "-")
        rows.append([name, _in_words(change.before), then, *consumers])
    return output.table(rows)


def _in_words(versions: Sequence[int]) -> str:
    return ", else ".join(f"v{k}" for k in versions)


def _held(published: PublishedVersion) -> str:
    contents = published.contents
    if contents is None:
        return "not noted"
    return f"{contents.rows} rows up to {contents.newest.isoformat()}"


def _description(published: PublishedVersion) -> str:
    manifest = published.manifest
    release = f"{manifest.published_at.isoformat()} by feast-bc {manifest.feast_bc_version}"
    rows = [
        ["dimensions", str(manifest.dim)],
        ["vectors", f"source {manifest.source.name}, column {manifest.feature}"],
        ["join keys", ", ".join(manifest.join_keys)],
        ["source held", _held(published)],
        ["published", release],
        ["digest", published.sha256],
    ]
    if manifest.transform is not None and published.transform is not None:
        link = published.transform
        dims = f"{link.from_dim} -> {link.to_dim} dimensions"
        leads = f"{link.from_version} -> {link.to_version}, {dims}"
        relinked = ", relinked since" if published.replaced_transform else ""
        rows.append(["transformation", f"{manifest.transform.kind}, {leads}{relinked}"])
    rows += [[name, link] for name, link in manifest.links.items()]
    rows.append(["serves older views", "; ".join(map(_span, published.activations)) or "never"])
    view = f"{manifest.embedding}_v{published.version}"
    rows.append(["view", "retired" if published.retired else view])
    rows += [["contract", line] for line in contract_lines(published)]
    for event in published.events:
        at = "" if event.at is None else f" as of {event.at.isoformat()}"
        waived = output.waived(event)
        forced = f", forced: {waived}" if waived else ""
        whose = "" if event.contract is None else f", of {event.contract.consumer}"
        rows.append([event.event, f"{event.recorded_at.isoformat()}{at}{forced}{whose}"])
        rows += [["", line] for line in (event.note or "").splitlines()]
    title = f"{manifest.embedding} version {published.version}"
    parts = [title, output.table([[f"  {name}", value] for name, value in rows])]
    if alignment := output.alignment_table(published):
        parts.append(alignment)
    if judgements := last_run(published):
        parts.append("Contracts, when they were run last:")
        parts.append(judgements_table(judgements))
    return "\n".join(parts)


def _span(activation: Activation) -> str:
    until = activation.active_until
    end = f" until {until.isoformat()}" if until else ""
    return f"from {activation.active_from.isoformat()}{end}"
