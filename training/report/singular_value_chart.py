"""How well conditioned the maps are: an exploding or a vanishing direction shows here."""

from __future__ import annotations

from pathlib import Path

from training.comparison.row import LARGEST, SMALLEST
from training.encoders.encoder import ITEMS, USERS
from training.report.canvas import canvas, save, style
from training.report.finished_run import FinishedRun
from training.report.look import INK, Look, emphasised

_FAMILIES = (USERS, ITEMS)


def draw_singular_values(run: FinishedRun, shown: dict[str, Look], path: Path) -> Path:
    """Write the PNG: largest to smallest per version, mean over seeds; hops above, chains below."""
    found = run.found[run.found["measure"].isin([LARGEST, SMALLEST])]
    methods = [name for name in emphasised(shown) if name in set(found["method"])]
    kinds = {
        "hop k -> k-1": found[found["serves"] == found["version"] - 1],
        "chain k -> 0": found[found["serves"] == 0],
    }
    with style():
        figure = canvas(10.5, 6.0)
        grid = figure.subplots(2, 2, sharex=True, sharey=True)
        for line, (kind, rows) in zip(grid, kinds.items(), strict=True):
            for axes, family in zip(line, _FAMILIES, strict=True):
                for i, name in enumerate(methods):
                    own = rows[(rows["method"] == name) & (rows["family"] == family)]
                    mean = own.pivot_table("value", "version", "measure")
                    at = mean.index.to_numpy(float) + 0.16 * (i - (len(methods) - 1) / 2)
                    look = shown[name]
                    axes.vlines(at, mean[SMALLEST], mean[LARGEST], color=look.color, linewidth=3)
                    for end in (SMALLEST, LARGEST):
                        axes.plot(at, mean[end], look.marker, color=look.color, markersize=5)
                axes.axhline(1, color=INK, linewidth=0.8)
                axes.set(yscale="log", title=f"{family}, {kind}")
        versions = [v for v in run.versions if v]
        for axes in grid[-1]:
            axes.set_xticks(versions, [f"v{v}" for v in versions])
            axes.set_xlabel("newest version")
        for line in grid:
            line[0].set_ylabel("singular values")
        handles = [
            grid[0][0].plot([], [], shown[n].marker, color=shown[n].color, label=n)[0]
            for n in methods
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=len(methods), frameon=False)
        return save(figure, path)
