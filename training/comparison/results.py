"""An experiment's results as `results.parquet` (every number) and `results.md` (the tables)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from training.comparison.degradation import (
    CHANCE,
    alignment,
    beats_most_popular,
    births,
    consumers,
    counted_tasks,
    frame,
    intended,
    interval,
    of_consumers,
    task_bounds,
    unintended,
)
from training.comparison.measurement import (
    ERROR,
    HELD_OUT,
    LARGEST,
    PEAK_RSS,
    RECALL,
    RELATIVE,
    SECONDS,
    SMALLEST,
    Row,
)

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
    yield "## Summary\n\n" + _summary(found)
    yield "## Recall@50 per version\n\n" + _recall(found, plain)
    title = "## Relative alignment error towards v0, users and items"
    yield f"{title}\n\n" + _by_version(found[found["measure"] == RELATIVE], 0)
    for consumer in consumers(found):
        yield from _consumer_sections(found, consumer)
    yield "## Singular values of the maps\n\n" + _singular_values(found)
    yield "## Training seconds per version\n\n" + _costs(found)


def _consumer_sections(found: pd.DataFrame, consumer: str) -> Iterable[str]:
    bounds = task_bounds(found, consumer)
    yield f"## Consumer model: {consumer}\n\n" + _unintended(found, consumer)
    for j in births(found, consumer):
        mean = of_consumers(found, consumer, j).pivot_table("value", "method", "task", sort=False)
        title = f"### AUROC of consumers born at v{j}, mean over later versions"
        yield f"{title}\n\n" + _markdown(mean.map("{:.3f}".format))
    lines = [
        f"- {task}: lower bound {bound:.3f}, {'counts' if bound > CHANCE else 'LISTED APART'}"
        for task, bound in bounds.items()
    ]
    note = f"A task counts where the native v0 consumer's interval lies above {CHANCE}."
    yield "### Tasks\n\n" + "\n".join([note, "", *lines])
    counted = counted_tasks(found, consumer)
    title = "### Mean AUROC of the tasks that count, consumers born at v0, per version"
    if counted:
        rows = of_consumers(found, consumer)
        yield f"{title}\n\n" + _by_version(rows[rows["task"].isin(counted)], 0)


def _summary(found: pd.DataFrame) -> str:
    columns = {"intended %": intended(found)}
    for consumer in consumers(found):
        loss = unintended(found, counted_tasks(found, consumer), consumer)
        columns[f"unintended %, {consumer}"] = loss
        columns[f"total %, {consumer}"] = columns["intended %"] + loss
    columns |= {
        "alignment error": alignment(found, ERROR),
        "relative": alignment(found, RELATIVE),
        "relative, held out": alignment(found, HELD_OUT),
    }
    return _of_methods(found, columns)


def _unintended(found: pd.DataFrame, consumer: str) -> str:
    counted = counted_tasks(found, consumer)
    born = births(found, consumer)
    columns = {f"unintended % of v{j}'s": unintended(found, counted, consumer, j) for j in born}
    return _of_methods(found, columns)


def _of_methods(found: pd.DataFrame, columns: Mapping[str, pd.DataFrame]) -> str:
    table = {
        name: {method: _text(values[method]) for method in values}
        for name, values in columns.items()
    }
    return _markdown(pd.DataFrame(table).reindex(list(dict.fromkeys(found["method"]))))


def _singular_values(found: pd.DataFrame) -> str:
    """Largest ... smallest, mean over seeds: of each hop, and of each chain to v0."""
    chosen = found[found["measure"].isin([LARGEST, SMALLEST])]
    ones = chosen.groupby("method")["value"].transform(lambda some: (some == 1).all())
    chosen = chosen[~ones]
    if chosen.empty:
        return "All are 1."
    hops = chosen[chosen["serves"] == chosen["version"] - 1]
    note = "Largest ... smallest, mean over seeds; methods whose maps have ones only are left out."
    tables = [_ranges(some) for some in (hops, chosen[chosen["serves"] == 0])]
    return "\n\n".join([note, *tables])


def _ranges(rows: pd.DataFrame) -> str:
    keys = ["method", "family", "version", "serves"]
    mean = rows.pivot_table("value", keys, "measure", sort=False).reset_index()
    mean["hop"] = [f"{k} -> {j}" for k, j in zip(mean["version"], mean["serves"], strict=True)]
    both = zip(mean[LARGEST], mean[SMALLEST], strict=True)
    mean["text"] = [f"{large:.2g} ... {small:.2g}" for large, small in both]
    mean["map"] = mean["method"] + ", " + mean["family"]
    return _markdown(mean.pivot_table("text", "map", "hop", aggfunc="first", sort=False))


def _costs(found: pd.DataFrame) -> str:
    seconds = found[found["measure"] == SECONDS]
    if seconds.empty:
        return "Not recorded."
    mean = seconds.pivot_table("value", "method", "version", sort=False)
    peak = found.loc[found["measure"] == PEAK_RSS, "value"].max() / 2**20
    note = (
        "Mean over seeds, on the machine that trained it; versions that a resumed run found keep "
        "their\nnumbers. A method that maps NoBC's models includes their training. Peak memory of "
        f"the process: {peak:,.0f} MiB."
    )
    return f"{note}\n\n{_markdown(mean.map('{:.1f}'.format))}"


def _recall(found: pd.DataFrame, plain: pd.DataFrame) -> str:
    both = pd.concat([plain, found])
    both = both[both["measure"] == RECALL]
    mean = both.pivot_table("value", "method", "version", sort=False)
    verdict = "The encoder (NoBC) beats most-popular in every window."
    if not beats_most_popular(both):
        verdict = "THE ENCODER DOES NOT BEAT MOST-POPULAR IN EVERY WINDOW: quote no degradation."
    return f"{_markdown(mean.map('{:.4f}'.format))}\n\n{verdict}"


def _by_version(rows: pd.DataFrame, serves: int) -> str:
    rows = rows[rows["serves"] == serves]
    mean = rows.pivot_table("value", "method", "version", sort=False)
    return _markdown(mean.map("{:.3f}".format))


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
