"""The demo's result, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from training.demo.evaluation import Intended, Unintended

_GOOD, _OLD, _BAD, _PLAIN = "#1b7f79", "#7a8b99", "#c8553d", "#c9d1d8"


def draw(path: Path, intended: Sequence[Intended], unintended: Unintended) -> Path:
    """Write a PNG: what the consumer gets on the left, what the embeddings are for on the right.

    Args:
        path: the file.
        intended: one entry per version.
        unintended: of the consumer model.
    """
    newest = intended[-1].version
    with mpl.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10.5, 4.0), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))

        names = ["native v0\n(old model kept alive)", f"v{newest} served\nas v0", f"raw v{newest}"]
        scores = [unintended.native, unintended.served, unintended.raw]
        left.bar_label(
            left.bar(names, scores, color=[_OLD, _GOOD, _BAD], width=0.6), fmt="%.3f", padding=2
        )
        left.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
        left.text(2.4, 0.51, "chance", ha="right", va="bottom", fontsize=9)
        left.set(ylim=(0, 1), ylabel="AUROC", title="A consumer model, trained on v0, never again")

        places = range(len(intended))
        series = [
            ("v0 today", [row.oldest for row in intended], _OLD, -0.27),
            ("this version", [row.model for row in intended], _GOOD, 0.0),
            (
                "best popularity",
                [max(row.popular, row.recently_popular) for row in intended],
                _PLAIN,
                0.27,
            ),
        ]
        for label, values, color, shift in series:
            bars = right.bar([p + shift for p in places], values, 0.26, color=color, label=label)
            right.bar_label(bars, fmt="%.3f", padding=2, fontsize=8)
        right.set_xticks(
            places, [f"after v{row.version}\n{row.dim} dimensions" for row in intended]
        )
        right.set(ylabel="Recall@50", title="The intended task: what users buy next")
        right.margins(y=0.25)
        right.legend(frameon=False, ncols=3, fontsize=9, handlelength=1.2, columnspacing=1.2)
        figure.savefig(path, dpi=120)
    return path
