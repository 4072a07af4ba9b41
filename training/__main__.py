"""`python -m training`: the embedding team's commands."""

from pathlib import Path

import click

from training.demo import run


@click.group()
def main() -> None:
    """Train embedding versions and publish them with feast-bc."""


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
    run(folder)


if __name__ == "__main__":
    main()
