"""`python -m training.maps`: compare ways to fit the maps on the models of a finished run."""

from pathlib import Path

import click
import torch

from feast_bc.errors import FeastBCError
from training.comparison.experiment import read_experiment
from training.comparison.run import Run, check_known
from training.maps.fits import FITS
from training.maps.trial import MORE, Trial, table
from training.tasks.consumer import CONSUMERS
from training.versions.methods import NO_BC

WAYS = (*FITS, *MORE)


@click.command()
@click.argument("experiment", type=click.Path(exists=True, path_type=Path))
@click.option("--data", envvar="FEAST_BC_DATA", type=click.Path(exists=True, path_type=Path))
@click.option("--items", envvar="FEAST_BC_ITEMS", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="The run's; default: runs/<experiment>. NoBC has to be there: `python -m training run`.",
)
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True)
@click.option("--ways", help=f"Comma-separated; default: all, {', '.join(WAYS)}.")
@click.option("--consumers", default="logistic,boosting,mlp", show_default=True)
def main(
    experiment: Path,
    data: Path | None,
    items: Path | None,
    folder: Path | None,
    seeds: int,
    ways: str | None,
    consumers: str,
) -> None:
    """Fit maps to the models of NoBC in many ways, and print what consumers of v0 lose."""
    torch.set_num_threads(min(torch.get_num_threads(), 2))
    try:
        said = read_experiment(experiment)
        interactions = said.interactions(data, items)
        chosen = [way.strip() for way in ways.split(",")] if ways else list(WAYS)
        kinds = consumers.split(",")
        check_known("way", chosen, WAYS)
        check_known("consumer", kinds, CONSUMERS)
        run = Run(said, interactions, folder or Path("runs") / said.name, print)
        found = []
        for seed in range(seeds):
            versions = run.versions(NO_BC.name, seed)
            for outcome in Trial(said, interactions, versions, run.holdout, kinds).outcomes(chosen):
                found.append(outcome)
                print(f"seed {seed}, {outcome.way}, v{outcome.version}: {dict(outcome.errors)}")
    except (FeastBCError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    print(table(found, kinds))


if __name__ == "__main__":
    main()
