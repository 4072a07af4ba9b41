"""How `feast-bc` prints results, tables, errors and progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

if TYPE_CHECKING:  # they need Feast, and help and usage errors shall not wait for it
    from feast_bc.catalog.check import Check
    from feast_bc.catalog.event import Event
    from feast_bc.catalog.published_version import PublishedVersion
    from feast_bc.native.native_vectors import Progress
    from feast_bc.publishing.alignment import Alignment, AlignmentReport, VersionAlignment

JSON = "feast_bc.json"

_HEADS = ("R^2", "centred error", "error of mean", "cosine", "neighbours", "products")
"""What is measured of a chain, as the columns of a table."""


def result(message: Mapping[str, Any], *paragraphs: str, next_: str | None = None) -> None:
    """Print what a command did: `message` with --json, else the paragraphs and the next step."""
    if as_json():
        click.echo(json.dumps({**message, "next": next_} if next_ else message, indent=2))
        return
    for paragraph in filter(None, paragraphs):
        click.echo(paragraph)
    if next_:
        click.echo(f"Next: {next_}.")


def failure(kind: str, message: str) -> None:
    """Print an error: as JSON on stdout with --json, else on stderr."""
    if as_json():
        click.echo(json.dumps({"error": {"type": kind, "message": message}}, indent=2))
    else:
        click.echo(f"Error: {message}", err=True)


def checks(found: Sequence[Check]) -> None:
    """Print what was checked; exit 1 if something is wrong."""
    wrong = [check for check in found if not check.ok]
    remarkable = [check for check in found if check.problem or check.note]
    result(
        {
            "ok": not wrong,
            "checks": [{"subject": c.subject, "problem": c.problem, "note": c.note} for c in found],
        },
        *(f"{'ok  ' if check.ok else 'BAD '} {check.subject}" for check in found),
        *(f"\n{check.subject}: {check.problem or check.note}" for check in remarkable),
        f"{len(found)} checks, {len(wrong)} problem(s).",
    )
    if wrong:
        click.get_current_context().exit(1)


def stages(title: str) -> Progress:
    """A progress bar on stderr for one stage of the work, whose sources are read in turn."""
    bar = _bar(title)

    def advance(rows: int, total: int | None) -> None:
        nonlocal bar
        if bar.n == bar.total:
            bar = _bar(title)
        bar.total = total
        bar.update(rows)
        if bar.n == total:
            bar.close()

    return advance


def _bar(title: str) -> Any:
    bar = tqdm(desc=title, unit=" rows", unit_scale=True, file=sys.stderr)
    click.get_current_context().call_on_close(bar.close)  # also before an error is printed
    return bar


def alignment_table(published: PublishedVersion) -> str:
    """How well each chain reproduces an older version; empty for version 0."""
    report = alignment_of(published)
    return "" if report is None else report_table(report)


def report_table(report: AlignmentReport) -> str:
    """The figures of an alignment report."""
    rows = [["chain", "entities", "", *_HEADS]]
    consumers = [["chain", "logistic", "mlp", "trees", "worst", "singular values"]]
    for entry in report.older:
        chain = f"{report.version} -> {entry.version}"
        rows.append([chain, *_numbers(entry.on_all, "all common")])
        if entry.on_held_out is not None:
            rows.append(["", *_numbers(entry.on_held_out, "held out")])
        if entry.previous_error is not None:
            rows.append([f"{report.version - 1} -> {entry.version}", *_before(entry)])
        if entry.probes is not None:
            consumers.append([chain, *_probed(entry)])
    notes = [f"{report.version} -> {e.version}: {e.note}" for e in report.older if e.note]
    notes += [f"Warning: {text}" for entry in report.older for text in entry.warnings]
    kept = []
    if len(consumers) > 1:
        kept = ["What small consumer models keep of their skill (1: as on native vectors):"]
        kept.append(table(consumers))
    return "\n".join([table(rows), *kept, *notes])


def warning(published: PublishedVersion) -> str:
    """What the default quality gate has against a version; empty if nothing."""
    from feast_bc.publishing.quality_gate import QualityGate

    report = alignment_of(published)
    verdict = QualityGate().measure(report) if report else None
    if verdict is None or verdict.passed:
        return ""
    return f"Warning: {'; '.join(verdict.reasons)}. {' '.join(verdict.advice)}"


def versions_table(listed: Mapping[str, Sequence[PublishedVersion]]) -> str:
    """One line per version; empty if there is none."""
    rows = [["embedding", "version", "dim", "published", "active", "view", "centred error to v0"]]
    for name, found in listed.items():
        for published in found:
            intervals = [
                f"{a.active_from:%Y-%m-%dT%H:%M:%SZ} .. "
                + (f"{a.active_until:%Y-%m-%dT%H:%M:%SZ}" if a.active_until else "")
                for a in published.activations
            ]
            forced = ", ".join(filter(None, map(waived, published.events)))
            report = alignment_of(published)
            error = report.older[-1].decisive[1].centred_error if report else None
            rows.append(
                [
                    name,
                    str(published.version),
                    str(published.manifest.dim),
                    f"{published.manifest.published_at:%Y-%m-%d %H:%M}",
                    (", ".join(intervals) or "-") + (f" (forced: {forced})" if forced else ""),
                    "retired" if published.retired else f"{name}_v{published.version}",
                    "-" if error is None else f"{error:.4f}",
                ]
            )
    return table(rows) if len(rows) > 1 else ""


def waived(event: Event) -> str:
    """The checks that an event went past, or what older releases recorded of them."""
    names = (event.gate or {}).get("waived", [])
    return ", ".join(map(str, names)) or ("quality gate" if event.forced else "")


def alignment_of(published: PublishedVersion) -> AlignmentReport | None:
    """The alignment measured last; None where it was not, or where nothing is older."""
    from feast_bc.publishing.alignment import stored_report

    report = stored_report(published)
    return report if report and report.older else None


def _numbers(alignment: Alignment, on: str) -> list[str]:
    values = (
        alignment.r_squared,
        alignment.centred_error,
        alignment.error_of_mean,
        alignment.cosine,
        alignment.neighbour_overlap,
        alignment.dot_product_correlation,
    )
    return [str(alignment.entities), on, *map(number, values)]


def _before(entry: VersionAlignment) -> list[str]:
    """The row of the chain that served until now."""
    error = entry.previous_error or 0.0
    return ["", "before", number(1 - error**2), number(error), *[""] * (len(_HEADS) - 2)]


def _probed(entry: VersionAlignment) -> list[str]:
    probes, values = entry.probes, entry.singular_values
    kept = () if probes is None else (probes.logistic, probes.mlp, probes.trees, probes.worst)
    return [*map(number, kept), "" if values is None else f"{values[0]:.3g} ... {values[1]:.3g}"]


def number(value: float | None) -> str:
    """A figure as tables have it."""
    return "unknown" if value is None else f"{value:.4f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)) for r in rows]
    return "\n".join(line.rstrip() for line in lines)


def as_json() -> bool:
    """Whether the command prints JSON."""
    return bool(click.get_current_context().meta[JSON])
