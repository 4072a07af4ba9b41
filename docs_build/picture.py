"""The picture of docs/choosing.md, from the page's own table: `python -m docs_build.picture`."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

DOCS = Path(__file__).parents[1] / "docs"
PICTURE = DOCS / "joint-or-afterwards.png"

_METHODS = {
    "Post-Least-Squares": "#d95f02",
    "BC-Aligner,": "#1f77b4",
    "BC-Aligner-Refit": "#1b7f79",
}
_NAMES = {
    "Post-Least-Squares": "fitted afterwards",
    "BC-Aligner,": "joint",
    "BC-Aligner-Refit": "joint, then solved",
}

Figures = list[tuple[float, float]]
"""Mean and half the 95 % interval, per column of the table."""


def read(page: str) -> tuple[list[str], dict[str, Figures]]:
    """The columns of the page's table, and each drawn method's figures."""
    table = page.partition("| method | own task")[2].partition("\n\n")[0]
    columns = ["own task", *(word.strip() for word in table.splitlines()[0].split("|")[1:-1])]
    found = {}
    for line in table.splitlines()[2:]:
        name, *cells = (cell.strip(" *") for cell in line.strip("|").split("|"))
        for method in _METHODS:
            if f"({method}" in name + ",":
                found[method] = [figure(cell) for cell in cells]
    return columns, found


def figure(cell: str) -> tuple[float, float]:
    """The mean of a cell, and its half interval; 0 for none."""
    numbers = [float(number) for number in re.findall(r"-?\d*\.?\d+", cell)]
    return numbers[0], numbers[1] if len(numbers) > 1 else 0.0


def draw(path: Path = PICTURE) -> Path:
    """Write the PNG."""
    columns, found = read((DOCS / "choosing.md").read_text())
    with mpl.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(9.6, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color="black", linewidth=0.9)
        axes.axvline(0.5, color="#c9d1d8", linewidth=0.9)
        for number, (method, color) in enumerate(_METHODS.items()):
            means, widths = zip(*found[method], strict=True)
            places = [column + (number - 1) * 0.18 for column in range(len(columns))]
            axes.errorbar(
                places, means, yerr=widths, fmt="o", color=color, capsize=3, label=_NAMES[method]
            )
        labels = ["own task:\nRecall@50", *(f"{kind}\nconsumers: AUROC" for kind in columns[1:])]
        axes.set_xticks(range(len(columns)), labels)
        axes.set(
            ylabel="% of the reference",
            title="What joint training costs, and whom it serves: retail, ten updates",
        )
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.24, 0))
        figure.savefig(path, dpi=120)
    return path


if __name__ == "__main__":
    print(draw())
