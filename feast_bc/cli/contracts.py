"""The commands of consumers: contract add, list, remove, check."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feast_bc.cli import output
from feast_bc.cli.group import common_options, open_catalog, repo_option

if TYPE_CHECKING:
    from feast.repo_config import RepoConfig

    from feast_bc.catalog.contract import Metric
    from feast_bc.catalog.published_version import PublishedVersion
    from feast_bc.contracts.judgement import Judgement, Shadow

METRICS = ("auc", "accuracy", "mse", "mae")
"""Of `feast_bc.catalog.contract`, which Feast makes slow to import."""

VERSION = click.option(
    "--version", type=click.IntRange(min=0), required=True, help="What the consumer reads."
)
CONSUMER = click.option("--consumer", metavar="NAME", required=True, help="Whose contract it is.")
REPO = repo_option("Feature repo: how sources that are not files are read.")


@click.group()
def contract() -> None:
    """What consumers of a version expect; `activate` runs it and refuses what breaks it.

    A check is a Python function of the consumer team's, `evaluate(entities, vectors)`: a pandas
    frame with the join keys of n entities, and their vectors as a float32 matrix, row by row. It
    returns one number for all of them (more is better), or an array with one per entity, whose mean
    counts; NaN there says that it knows nothing of an entity. The catalog keeps its name, never its
    code: the module has to be importable where the gate runs, from there or from PYTHONPATH.

    Or a frozen model and a sample: a linear model as safetensors (tensors `weight` and `bias`), or
    ONNX (extra `onnx`), and a parquet file with the join keys and a label. Model and sample are
    copied into the catalog, of the sample only the columns that are named.
    """


@contract.command()
@click.argument("embedding")
@VERSION
@CONSUMER
@click.option("--check", metavar="MODULE:FUNCTION", help="The check; or --model.")
@click.option("--model", metavar="PATH", help="A frozen model, .safetensors or .onnx.")
@click.option("--sample", metavar="PATH", help="Parquet: the entities that count.")
@click.option("--label", metavar="COLUMN", help="Of the sample: what is true, as numbers.")
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    help="Compares scores with the label. With --check, it returns scores then.",
)
@click.option("--threshold", type=float, help="A score above it is a yes.")
@click.option("--segment", metavar="COLUMN", help="Of the sample: tell the figures apart by it.")
@click.option("--min", "least", type=float, help="The figure on served vectors, at least.")
@click.option("--max", "most", type=float, help="At most; for mse and mae.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    required=True,
    help="How much worse than on native vectors the figure may be.",
)
@REPO
@common_options
def add(
    embedding: str,
    version: int,
    least: float | None,
    most: float | None,
    metric: Metric | None,
    repo: str | None,
    **options: Any,
) -> None:
    """Register what must hold for a consumer's model, after running it on native vectors.

    \b
    Examples:
      feast-bc contract add user_embedding --version 0 --consumer churn_model \\
          --check churn_check:evaluate --min 0.80 --tolerance 0.01
      feast-bc contract add user_embedding --version 0 --consumer churn_model \\
          --model churn.safetensors --sample labels.parquet --label churned --metric auc \\
          --segment country --tolerance 0.01
    """
    errors = metric in ("mse", "mae")
    wrong, right = ("--min", "--max") if errors else ("--max", "--min")
    if (least if errors else most) is not None:
        raise click.UsageError(
            f"{wrong} is no limit of {metric or 'a check, of which more is better'}: use {right}."
        )
    if (options["check"] is None) == (options["model"] is None):
        raise click.UsageError("Say what judges: either --check or --model.")
    catalog = open_catalog()

    from feast_bc.contracts.addition import add_contract

    with importing_from_here():
        change, figure = add_contract(
            catalog,
            embedding,
            version,
            metric=metric,
            limit=most if errors else least,
            config=config_of(repo),
            stages=output.stages,
            **options,
        )
    consumer = options["consumer"]
    kept = next(each for each in change.published.contracts if each.consumer == consumer)
    of = f"{consumer} has a contract on {embedding} version {version}"
    done = f"{of}: {kept.what}, {kept.terms}. Native vectors give {figure or 0:.4f}."
    output.result(
        {
            "contract": kept.model_dump(mode="json"),
            "version": version,
            "native": figure,
            "changed": change.changed,
        },
        done if change.changed else f"{of} with these terms already; nothing changed.",
        next_=check_command(embedding, catalog.published(embedding), version),
    )


@contract.command(name="list")
@click.argument("embedding", required=False)
@common_options
def list_(embedding: str | None) -> None:
    """List the contracts in the catalog.

    \b
    Example:
      feast-bc contract list user_embedding
    """
    catalog = open_catalog()
    names = catalog.embeddings() if embedding is None else [embedding]
    listed = {name: catalog.published(name) for name in names}
    output.result(
        {
            "contracts": [
                {"embedding": name, "version": each.version, **held.model_dump(mode="json")}
                for name, found in listed.items()
                for each in found
                for held in each.contracts
            ]
        },
        _contracts_table(listed) or "No consumer has a contract.",
    )


@contract.command()
@click.argument("embedding")
@VERSION
@CONSUMER
@common_options
def remove(embedding: str, version: int, consumer: str) -> None:
    """End a contract; the log keeps it. Removing it again changes nothing.

    \b
    Example:
      feast-bc contract remove user_embedding --version 0 --consumer churn_model
    """
    change = open_catalog().end_contract(embedding, version, consumer)
    of = f"contract of {consumer} on {embedding} version {version}"
    output.result(
        {"removed": {"version": version, "consumer": consumer}, "changed": change.changed},
        f"The {of} has ended." if change.changed else f"There is no {of}; nothing changed.",
    )


@contract.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=1))
@REPO
@common_options
def check(embedding: str, version: int, repo: str | None) -> None:
    """Run every contract that an activation of VERSION would run; exit 3 if one does not hold.

    \b
    Example:
      feast-bc contract check user_embedding 2
    """
    catalog = open_catalog()

    from feast_bc.contracts.runs import run_contracts

    with importing_from_here():
        judgements = run_contracts(
            catalog.shelf(embedding),
            catalog.files,
            version,
            config=config_of(repo),
            stages=output.stages,
        )
    broken = [each for each in judgements if not each.holds]
    output.result(
        {"version": version, "contracts": [each.to_json() for each in judgements]},
        judgements_table(judgements)
        or f"No consumer has a contract on a version older than {embedding} version {version}.",
        f"{len(judgements)} contracts, {len(broken)} broken." if judgements else "",
        next_=None if broken else f"feast-bc activate {embedding} {version}",
    )
    if broken:
        click.get_current_context().exit(3)


def check_command(
    embedding: str, published: Sequence[PublishedVersion], version: int
) -> str | None:
    """What runs a version's contracts for the version that serves its view; None for itself."""
    newer = [
        k.version
        for k in published[version + 1 :]
        if k.activations[-1:] and (k.activations[-1].active_until is None)
    ]
    return f"feast-bc contract check {embedding} {newer[-1]}" if newer else None


def judgements_table(judgements: Sequence[Judgement]) -> str:
    """What became of contracts; empty where there are none."""
    if not judgements:
        return ""
    heads = ["contract", "chain", "entities", "native", "served", "difference", "95 % interval"]
    rows = [[*heads, "flips", "neighbours", "expected", ""]]
    notes = []
    for each in judgements:
        rows.append(
            [
                each.consumer,
                f"{each.candidate} -> {each.version}",
                *_entities(each),
                *_figures(each.shadow),
                "-"
                if each.interval is None
                else f"{each.interval[0]:+.4f} to {each.interval[1]:+.4f}",
                *_shadow(each.shadow),
                each.terms,
                "holds" if each.holds else "BROKEN",
            ]
        )
        for name, shadow in (each.segments or {}).items():
            counted = str(shadow.entities)
            rows.append([f"  {name}", "", counted, *_figures(shadow), "", *_shadow(shadow), "", ""])
        notes += [f"{each.consumer} on v{each.version}: {failure}" for failure in each.failures]
    return "\n".join([output.table(rows), *notes])


def contract_lines(published: PublishedVersion) -> list[str]:
    """One line per contract on a version."""
    return [f"{each.consumer}: {each.what}, {each.terms}" for each in published.contracts]


def last_run(published: PublishedVersion) -> list[Judgement]:
    """What became of the contracts at the version's last activation, or relink since.

    Raises:
        ArtifactError: what the event has in its place is something else.
    """
    from feast_bc.contracts.judgement import Judgement

    gates = [event.gate for event in published.events if event.gate is not None]
    kept: Sequence[object] = next(
        (gate["contracts"] for gate in reversed(gates) if "contracts" in gate), []
    )
    of = f"the history of {published.manifest.embedding} version {published.version}"
    return [Judgement.from_json(each, of=of) for each in kept]


def tell_judgements(told: list[Judgement]) -> Callable[[Sequence[Judgement]], None]:
    """What prints judgements as soon as there are some, and keeps them in a list."""

    def tell(judgements: Sequence[Judgement]) -> None:
        told.extend(judgements)
        if judgements and not output.as_json():
            click.echo(judgements_table(judgements))

    return tell


def ask_contracts(published: PublishedVersion) -> None:
    """Ask whether a view may go of which consumers expect something; else refuse.

    Raises:
        CatalogError: it may not go.
    """
    from feast_bc.errors import CatalogError

    view = f"{published.manifest.embedding}_v{published.version}"
    names = [each.consumer for each in published.contracts]
    if not names or published.retired:
        return
    held = (
        f"{', '.join(names)} has a contract on {view}"
        if len(names) == 1
        else (f"{', '.join(names)} have contracts on {view}")
    )
    if output.as_json() or not click.confirm(f"{held}. Retire it all the same?", err=True):
        raise CatalogError(
            f"{held}; nothing was changed. Move them to another version and remove the contracts "
            "first, or pass --yes."
        )


def _contracts_table(listed: Mapping[str, Sequence[PublishedVersion]]) -> str:
    rows = [["embedding", "version", "consumer", "judged by", "expected"]]
    for name, found in listed.items():
        for each in found:
            retired = " (retired: not run)" if each.retired else ""
            rows += [
                [name, f"{each.version}{retired}", held.consumer, held.what, held.terms]
                for held in each.contracts
            ]
    return output.table(rows) if len(rows) > 1 else ""


def _entities(judgement: Judgement) -> list[str]:
    on = "" if judgement.on is None else f" {judgement.on.replace('_', ' ')}"
    return [f"{judgement.shadow.entities}{on}"]


def _figures(shadow: Shadow) -> list[str]:
    native, served = shadow.native, shadow.served
    apart = None if native is None or served is None else served - native
    return [_number(native), _number(served), "-" if apart is None else f"{apart:+.4f}"]


def _shadow(shadow: Shadow) -> list[str]:
    flips = "-" if shadow.flips is None else f"{shadow.flips:.2%}"
    return [flips, _number(shadow.neighbour_overlap)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def config_of(repo: str | None) -> RepoConfig | None:
    """The configuration of `--repo`."""
    from feast_bc.cli.repo_source import load_config

    return load_config(Path(repo)) if repo else None


@contextmanager
def importing_from_here() -> Iterator[None]:
    """Checks may stand in the working directory too, behind everything else."""
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
