"""`python -m training`: the embedding team's commands."""

from pathlib import Path

import click
import torch
import yaml

from training.demo import run as run_demo
from training.experiment import read_experiment
from training.report.finished_run import find_runs
from training.report.page import write_report
from training.results import write_results
from training.run import Run
from training.stages import Stages
from training.tune import tune as search

_EXPERIMENT = click.argument("experiment", type=click.Path(exists=True, path_type=Path))
_DATA = click.option(
    "--data",
    envvar="FEAST_BC_DATA",
    type=click.Path(exists=True, path_type=Path),
    help="The interactions, where the experiment says `data: given`.",
)
_ITEMS = click.option(
    "--items",
    envvar="FEAST_BC_ITEMS",
    type=click.Path(exists=True, path_type=Path),
    help="The items' attributes, where the experiment says `items: given`.",
)


@click.group()
def main() -> None:
    """Train embedding versions and publish them with feast-bc."""
    torch.set_num_threads(min(torch.get_num_threads(), 2))  # small matrices: more do not help


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Takes everything the demo writes; REPLACED on every run.",
)
def demo(folder: Path) -> None:
    """Three versions on real data; a consumer model trained on v0 lives through v1 and v2."""
    run_demo(folder)


@main.command()
@_EXPERIMENT
@_DATA
@_ITEMS
@click.option("--seeds", type=click.IntRange(1), help="How many; as the experiment says.")
@click.option("--methods", help="Some of them, comma-separated; as the experiment says.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Takes the results; runs/<experiment>. A run that was stopped goes on where it was.",
)
def run(
    experiment: Path,
    data: Path | None,
    items: Path | None,
    seeds: int | None,
    methods: str | None,
    folder: Path | None,
) -> None:
    """The paper's comparison of methods, as the YAML file EXPERIMENT says."""
    said = read_experiment(experiment)
    interactions = said.interactions(data, items)
    folder = folder or Path("runs") / said.name
    names = methods.split(",") if methods else said.methods
    one = Run(said, interactions, folder, Stages())
    rows = one(names, seeds or said.seeds)
    print(write_results(folder, rows, one.baselines()))


@main.command()
@_EXPERIMENT
@_DATA
@_ITEMS
@click.option("--epochs", type=click.IntRange(1), default=24, show_default=True, help="The most.")
def tune(experiment: Path, data: Path | None, items: Path | None, epochs: int) -> None:
    """Search an experiment's settings on the validation window of version 0."""
    said = read_experiment(experiment)
    print(yaml.safe_dump(dict(search(said, said.interactions(data, items), epochs, Stages()))))


@main.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/report"),
    show_default=True,
    help="Takes the page and its pictures.",
)
def report(folders: tuple[Path, ...], out: Path) -> None:
    """One HTML page from the FOLDERS of finished runs; without any: all under runs/."""
    print(write_report(find_runs(folders, Path("runs")), out))


if __name__ == "__main__":
    main()
