"""An experiment's results as `results.parquet` (every number) and `results.md` (the tables)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from training.degradation import (
    CHANCE,
    alignment,
    counted_tasks,
    frame,
    intended,
    interval,
    unintended,
)
from training.measurement import AUROC, ERROR, HELD_OUT, RECALL, RELATIVE, Row
from training.methods import NO_BC

_DEFINITIONS = """\
Intended: mean Recall@50 over versions, against NoBC. Unintended: mean AUROC of the frozen consumers
over later versions and tasks, against native vectors of the same model on the same history; for
consumers born at v1 and v2 that is the method's own M_1 and M_2. Alignment error towards v0: mean
over users and items of ||z~ - z||_2, and ||z~ - z||_F / ||z||_F; mean over versions, v0 being 0."""


def write_results(
    folder: Path,
    rows: Mapping[tuple[int, str], Sequence[Row]],
    baselines: Mapping[str, Sequence[Row]],
) -> str:
    """Write both files, and return the text of the second.

    Args:
        folder: where to.
        rows: by seed and method.
        baselines: Recall@50 of rankings without an encoder, by name; filed under seed 0.
    """
    found = frame(rows)
    plain = frame({(0, name): some for name, some in baselines.items()})
    every = pd.concat([found, plain], ignore_index=True)
    every.to_parquet(folder / "results.parquet", index=False)
    text = "\n\n".join(_sections(found, plain)) + "\n"
    (folder / "results.md").write_text(text)
    return text


def _sections(found: pd.DataFrame, plain: pd.DataFrame) -> Iterable[str]:
    seeds = found["seed"].nunique()
    yield f"# Results\n\n{seeds} seed(s); mean ± half the 95 % interval over seeds, paired by seed."
    yield _DEFINITIONS
    bounds = counted_tasks(found)
    counted = list(bounds[bounds > CHANCE].index)
    yield "## Summary\n\n" + _summary(found, counted)
    yield "## Recall@50 per version\n\n" + _recall(found, plain)
    title = "## Relative alignment error towards v0, users and items"
    yield f"{title}\n\n" + _by_version(found[(found["measure"] == RELATIVE)], 0)
    auroc = found[found["measure"] == AUROC]
    for j in sorted(auroc["serves"].unique()):
        shown = auroc[auroc["serves"] == j]
        yield f"## AUROC of consumers born at v{j}, mean over later versions\n\n" + _tasks(shown)
    lines = [
        f"- {task}: lower bound {bound:.3f}, {'counts' if bound > CHANCE else 'LISTED APART'}"
        for task, bound in bounds.items()
    ]
    note = f"A task counts where the native v0 consumer's interval lies above {CHANCE}."
    yield "## Tasks\n\n" + "\n".join([note, "", *lines])
    title = "## Mean AUROC of the tasks that count, consumers born at v0, per version"
    if counted:
        some = auroc[auroc["task"].isin(counted)]
        yield f"{title}\n\n" + _by_version(some, 0)


def _summary(found: pd.DataFrame, counted: Sequence[str]) -> str:
    loss = intended(found)
    columns = {
        "intended %": loss,
        "unintended %": unintended(found, counted),
        "total %": loss + unintended(found, counted),
    }
    for j in sorted(set(found["serves"].dropna()) - {0}):
        if len(found[(found["measure"] == AUROC) & (found["serves"] == j)]):
            columns[f"unintended % of v{j}'s"] = unintended(found, counted, int(j))
    columns |= {
        "alignment error": alignment(found, ERROR),
        "relative": alignment(found, RELATIVE),
        "relative, held out": alignment(found, HELD_OUT),
    }
    table = {
        name: {method: _text(values[method]) for method in values}
        for name, values in columns.items()
    }
    return _markdown(pd.DataFrame(table).loc[list(dict.fromkeys(found["method"]))])


def _recall(found: pd.DataFrame, plain: pd.DataFrame) -> str:
    both = pd.concat([plain, found])
    both = both[both["measure"] == RECALL]
    mean = both.pivot_table("value", "method", "version", sort=False)
    encoder, popular = mean.loc[NO_BC.name], mean.loc["most popular"]
    verdict = "The encoder (NoBC) beats most-popular in every window."
    if not (encoder > popular).all():
        verdict = "THE ENCODER DOES NOT BEAT MOST-POPULAR IN EVERY WINDOW: quote no degradation."
    return f"{_markdown(mean.map('{:.4f}'.format))}\n\n{verdict}"


def _by_version(rows: pd.DataFrame, serves: int) -> str:
    rows = rows[rows["serves"] == serves]
    mean = rows.pivot_table("value", "method", "version", sort=False)
    return _markdown(mean.map("{:.3f}".format))


def _tasks(rows: pd.DataFrame) -> str:
    served = rows.pivot_table("value", "method", "task", sort=False)
    return _markdown(served.map("{:.3f}".format))


def _text(values: pd.Series) -> str:
    mean, width = interval(values.to_numpy())
    if mean != mean:
        return "n/a"  # where no task counts
    return f"{mean:.3f} ± {width:.3f}" if width == width else f"{mean:.3f}"


def _markdown(table: pd.DataFrame) -> str:
    table = table.astype(object).where(table.notna(), "n/a")
    head = ["", *map(str, table.columns)]
    lines = [head, ["---"] * len(head)]
    lines += [[str(name), *row] for name, row in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
