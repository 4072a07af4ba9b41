"""An experiment's results as `results.parquet` (every number) and `results.md` (the tables)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from training.comparison.comparisons import (
    comparisons,
    intended_cells,
    of_equal_epochs,
    unintended_cells,
)
from training.comparison.compatibility import (
    asymmetric_retrieval,
    backfill_curve,
    compatible_shares,
    drift_by_age,
)
from training.comparison.degradation import (
    CHANCE,
    alignment,
    births,
    consumers,
    counted_tasks,
    frame,
    interval,
    of_consumers,
    task_bounds,
    unintended,
)
from training.comparison.encoder_gate import users_of, verdict_of
from training.comparison.ranking import rank_correlations
from training.comparison.row import (
    CENTRED,
    CENTRED_HELD_OUT,
    ERROR,
    LARGEST,
    PEAK_RSS,
    RECALL,
    SECONDS,
    SMALLEST,
    Row,
)

_DEFINITIONS = """\
Intended: mean Recall@50 over versions, against NoBC. Unintended: AUROC A of consumers trained on
version 0 and frozen, against N with native version-0 vectors of today; mean over later versions,
then over tasks that count: (A - N) / N, and (A - N) / (N - .5), the share of the skill. Centred
error towards v0, mean over versions from 1 on: ||z~ - z||_F / ||z - mean||_F, 1 for the mean
vector; R^2 is 1 less its square. Intervals are half of 95 %, over seeds (paired) and
resampled users or items."""


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
    text = "\n\n".join(_sections(found, every)) + "\n"
    (folder / "results.md").write_text(text)
    return text


def _sections(found: pd.DataFrame, every: pd.DataFrame) -> Iterable[str]:
    yield f"# Results\n\n{found['seed'].nunique()} seed(s)."
    yield _DEFINITIONS
    yield "\n".join([verdict_of(every), *users_of(every)])
    yield "## Summary\n\n" + "\n\n".join(filter(None, [_summary(found), of_equal_epochs(found)]))
    yield "## Recall@50 per version\n\n" + _recall(every)
    title = "## Centred error towards v0, users and items"
    yield f"{title}\n\n" + _by_version(found[found["measure"] == CENTRED], 0)
    yield "## Centred error on held-out entities, by age k - j\n\n" + _numbers(drift_by_age(found))
    title = "## Asymmetric retrieval: Recall@50 of users served as v0, native v0 items"
    yield f"{title}\n\n" + _numbers(asymmetric_retrieval(found), "{:.4f}")
    for consumer in consumers(found):
        yield from _consumer_sections(found, consumer)
    yield "## Do the measures rank methods as the consumers do?\n\n" + _ranking(found)
    yield "## Singular values of the maps\n\n" + _singular_values(found)
    yield "## Training seconds per version\n\n" + _costs(found)


def _consumer_sections(found: pd.DataFrame, consumer: str) -> Iterable[str]:
    yield f"## Consumer model: {consumer}\n\n" + _comparisons(found, consumer)
    yield "### Consumers born at each version\n\n" + _unintended(found, consumer)
    for j in births(found, consumer):
        mean = of_consumers(found, consumer, j).pivot_table("value", "method", "task", sort=False)
        title = f"### AUROC of consumers born at v{j}, mean over later versions"
        yield f"{title}\n\n" + _numbers(mean)
    bounds = task_bounds(found, consumer)
    lines = [
        f"- {task}: lower bound {bound:.3f}, {'counts' if bound > CHANCE else 'BELOW THE GATE'}"
        for task, bound in bounds.items()
    ]
    note = f"A task counts where the native v0 consumer's interval lies above {CHANCE}."
    yield "### Tasks\n\n" + "\n".join([note, "", *lines])
    counted = counted_tasks(found, consumer)
    if counted:
        rows = of_consumers(found, consumer)
        title = "### Mean AUROC of the tasks that count, consumers born at v0, per version"
        yield f"{title}\n\n" + _by_version(rows[rows["task"].isin(counted)], 0)
        curve = backfill_curve(found, counted, consumer)
        if not curve.empty:
            title = "### Backfill: (A - N) / N, %, by the share of entities on the newest version"
            yield f"{title}\n\n" + _numbers(curve.T, "{:.2f}")


def _summary(found: pd.DataFrame) -> str:
    methods = list(dict.fromkeys(found["method"]))
    columns = {"intended %": intended_cells(found, methods)}
    for consumer in consumers(found):
        counted = counted_tasks(found, consumer)
        for name, chance in ((f"unintended %, {consumer}", 0.0), (f"skill %, {consumer}", 0.5)):
            columns[name] = unintended_cells(found, counted, consumer, methods, chance)
        shares = {m: compatible_shares(found, m, counted, consumer) for m in methods}
        columns[f"AC, {consumer}"] = {m: (share, float("nan")) for m, (share, _) in shares.items()}
        columns[f"non-inferior, {consumer}"] = {
            m: (share, float("nan")) for m, (_, share) in shares.items()
        }
    for measure in (ERROR, CENTRED, CENTRED_HELD_OUT):
        error = alignment(found, measure)
        columns[measure.replace("_", " ")] = {m: interval(error[m]) for m in methods if m in error}
    error = alignment(found, CENTRED_HELD_OUT)
    columns["R^2"] = {m: interval(1 - error[m] ** 2) for m in methods if m in error}
    table = {
        name: {m: _cell(*cells[m]) if m in cells else "n/a" for m in methods}
        for name, cells in columns.items()
    }
    return _markdown(pd.DataFrame(table).reindex(methods))


def _comparisons(found: pd.DataFrame, consumer: str) -> str:
    """The main table; tasks below the gate stand in it in parentheses."""
    counted = counted_tasks(found, consumer)
    table = {}
    for row in comparisons(found, consumer, list(dict.fromkeys(found["method"]))):
        tasks = {t: f"{v:.2f}" if t in counted else f"*({v:.2f})*" for t, v in row.tasks.items()}
        table[row.name] = {
            "(A - N) / N, %": _cell(*row.percent),
            "(A - N) / (N - .5), %": _cell(*row.skill),
            "over the twin": _cell(*row.over_twin),
            **tasks,
        }
    note = (
        "By task: (A - N) / N, %; in parentheses where the task is below the gate and does not "
        "count.\nOnly what exceeds the twin, which has seen version 0's data alone, is newer "
        "knowledge."
    )
    return f"{_markdown(pd.DataFrame.from_dict(table, orient='index'))}\n\n{note}"


def _ranking(found: pd.DataFrame) -> str:
    table = {}
    for consumer in consumers(found):
        counted = counted_tasks(found, consumer)
        for learned, name in ((False, "all methods"), (True, "learned maps")):
            if counted:
                values = rank_correlations(found, consumer, counted, learned=learned)
                table[f"{consumer}, {name}"] = {m: f"{v:.2f}" for m, v in values.items()}
    note = (
        "Spearman's rank correlation with the share of skill kept, over methods within a task, "
        "version and\nseed, mean over those; 1 is best. The labels, resampled: what the labels "
        "themselves reach."
    )
    if not table:
        return "No task counts."
    return f"{note}\n\n{_markdown(pd.DataFrame.from_dict(table, orient='index'))}"


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


def _recall(every: pd.DataFrame) -> str:
    recall = every[every["measure"] == RECALL]
    return _numbers(recall.pivot_table("value", "method", "version", sort=False), "{:.4f}")


def _by_version(rows: pd.DataFrame, serves: int) -> str:
    rows = rows[rows["serves"] == serves]
    return _numbers(rows.pivot_table("value", "method", "version", sort=False))


def _numbers(table: pd.DataFrame, form: str = "{:.3f}") -> str:
    return _markdown(table.map(lambda value: "n/a" if value != value else form.format(value)))


def _cell(mean: float, width: float) -> str:
    if mean != mean:
        return "n/a"  # where no task counts
    return f"{mean:.3f} ± {width:.3f}" if width == width else f"{mean:.3f}"


def _text(values: pd.Series) -> str:
    return _cell(*interval(values.to_numpy()))


def _markdown(table: pd.DataFrame) -> str:
    table = table.astype(object).where(table.notna(), "n/a")
    head = ["", *map(str, table.columns)]
    lines = [head, ["---"] * len(head)]
    lines += [[str(name), *row] for name, row in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
