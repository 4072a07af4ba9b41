"""`python -m training`: the embedding team's commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import click
import torch
import yaml

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.errors import FeastBCError
from feast_bc.publishing.quality_gate import MAX_CENTRED_ERROR, QualityGate
from training.comparison.experiment import read_experiment
from training.comparison.results import write_results
from training.comparison.run import Run, check_known
from training.demo.run import run as run_demo
from training.digits.run import SEEDS as DIGITS_SEEDS
from training.digits.run import run as run_digits
from training.report.finished_run import find_runs
from training.report.page import write_report
from training.stages import Stages
from training.tuning.alignment_search import tune_alignment
from training.tuning.coordinate_search import tune as search
from training.versions.methods import METHODS
from training.versions.release import KEYS, publish_versions

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
_DEVICE = click.option(
    "--device",
    default="cuda" if torch.cuda.is_available() else "cpu",
    show_default=True,
    help="Where encoders are trained, as torch names it.",
)


@click.group()
def main() -> None:
    """Train embedding versions, compare methods, and publish the versions with feast-bc."""
    torch.set_num_threads(min(torch.get_num_threads(), 2))  # small matrices: more do not help


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where the demo writes; REPLACED on every run.",
)
def demo(folder: Path) -> None:
    """Train three versions on real data; a consumer model of v0 lives through v1 and v2."""
    run_demo(folder, Stages())


@main.command()
@click.option("--seeds", type=click.IntRange(1), default=DIGITS_SEEDS, show_default=True)
def digits(seeds: int) -> None:
    """Train four versions of an image encoder; two consumer models of v0 live through all."""
    run_digits(Stages(), seeds=seeds)


@main.command()
@_EXPERIMENT
@_DATA
@_ITEMS
@click.option(
    "--seeds", type=click.IntRange(1), help="How many seeds; default: as the experiment says."
)
@click.option("--methods", help="Which, comma-separated; default: as the experiment says.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where results go; default: runs/<experiment>. A stopped run goes on from what is there.",
)
@_DEVICE
@click.option("--bf16", is_flag=True, help="Dense layers in bfloat16: for GPUs, and graphsage.")
def run(
    experiment: Path,
    data: Path | None,
    items: Path | None,
    seeds: int | None,
    methods: str | None,
    folder: Path | None,
    device: str,
    bf16: bool,
) -> None:
    """Compare the paper's methods, as the YAML file EXPERIMENT says."""
    with _errors_in_one_line():
        said = read_experiment(experiment)
        interactions = said.interactions(data, items)
        folder = folder or Path("runs") / said.name
        names = methods.split(",") if methods else said.methods
        one = Run(said, interactions, folder, Stages(), device=device, bf16=bf16)
        rows = one(names, seeds or said.seeds)
    print(write_results(folder, rows, one.baselines()))


@main.command()
@_EXPERIMENT
@_DATA
@_ITEMS
@click.option(
    "--epochs", type=click.IntRange(1), default=24, show_default=True, help="The most to try."
)
@_DEVICE
def tune(experiment: Path, data: Path | None, items: Path | None, epochs: int, device: str) -> None:
    """Search an experiment's settings on the validation window of version 0."""
    with _errors_in_one_line():
        said = read_experiment(experiment)
        found = search(said, said.interactions(data, items), epochs, Stages(), device=device)
    print(yaml.safe_dump(dict(found)))


@main.command("tune-alignment")
@_EXPERIMENT
@_DATA
@_ITEMS
@_DEVICE
@click.option(
    "--method", default="BC-Aligner", show_default=True, help="A method with a joint loss."
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How many to take the mean of.",
)
def tune_joint(
    experiment: Path, data: Path | None, items: Path | None, device: str, method: str, seeds: int
) -> None:
    """Search the alignment's weight and epochs on the validation window of version 1."""
    with _errors_in_one_line():
        said = read_experiment(experiment)
        check_known("method", [method], METHODS)
        interactions = said.interactions(data, items)
        trials = tune_alignment(said, interactions, METHODS[method], seeds, Stages(), device=device)
    print(f"best: {trials[0]}")


@main.command()
@_EXPERIMENT
@_DATA
@_ITEMS
@click.option("--method", required=True, help="As the experiment names it.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--catalog",
    envvar="FEAST_BC_CATALOG",
    required=True,
    metavar="DIR",
    help="A feast-bc catalog; need not exist yet.",
)
@click.option(
    "--activate",
    is_flag=True,
    help="Activate each version from its own instant, if the quality gate lets it pass.",
)
@click.option(
    "--max-centred-error",
    default=MAX_CENTRED_ERROR,
    show_default=True,
    help="The largest error that the quality gate lets pass; with --activate.",
)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The run's; default: runs/<experiment>. The catalog refers to the vectors written there.",
)
def publish(
    experiment: Path,
    data: Path | None,
    items: Path | None,
    method: str,
    seed: int,
    catalog: str,
    activate: bool,
    max_centred_error: float,
    folder: Path | None,
) -> None:
    """Publish all versions of one method of a finished run, users and items, to a catalog."""
    say = Stages()
    with _errors_in_one_line():
        said = read_experiment(experiment)
        folder = folder or Path("runs") / said.name
        finished = Run(said, said.interactions(data, items), folder, say)
        versions = finished.versions(method, seed)
        target = folder / "published" / f"{method}-seed{seed}"
        publish_versions(
            versions,
            finished.holdout,
            target,
            EmbeddingCatalog(catalog),
            gate=QualityGate(max_centred_error) if activate else None,
            say=say,
        )
    print(f"Vectors and transformations: {target}")
    print("Next, in a feature repo that reads this catalog:")
    for family, version in product(KEYS, [] if activate else versions[1:]):
        start = f"{version.past.instant}+00:00"
        print(f"  feast-bc activate {family} {version.number} --catalog {catalog} --from {start}")
    print(f"  feast apply\n  feast materialize 1970-01-01T00:00:00 {versions[-1].past.instant}")


@main.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/report"),
    show_default=True,
    help="Where the page and its pictures go.",
)
def report(folders: tuple[Path, ...], out: Path) -> None:
    """Make one HTML page from the FOLDERS of finished runs; default: all under runs/."""
    with _errors_in_one_line():
        print(write_report(find_runs(folders, Path("runs")), out))


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Print what is wrong with the input as one line, and exit with code 1."""
    try:
        yield
    except (FeastBCError, ValueError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
