"""The demo's result, as text."""

from __future__ import annotations

from collections.abc import Sequence

from training.demo.evaluation import Intended, Unintended
from training.versions.alignment import Alignment

_CODE = """\
What the consumer writes, at v0 and ever after:
  store.get_historical_features(entity_df, ["user_embedding_v0:embedding"]).to_df()
  store.get_online_features(["user_embedding_v0:embedding"], [{"user_id": 12347}]).to_dict()"""

_ALIGNMENT = """\
Alignment on held-out entities: error is ||served - native|| / ||native - mean||, both on the newer
version's history; R^2 = 1 - error^2. 1 is the mean vector's error, whose uncentred error is the
error of mean. Before: the error of the chain that served until then. Neighbours: the share of the
ten nearest that stay; products: the rank correlation of inner products; logistic, mlp and trees:
what small consumer models keep of their skill (1: as on native vectors)."""
_HEADS = (
    *("embedding", "chain", "R^2", "error", "before", "of mean", "neighbours", "products"),
    *("logistic", "mlp", "trees", "singular values"),
)


def table(
    intended: Sequence[Intended],
    aligned: Sequence[Alignment],
    unintended: Unintended,
    difference: float,
) -> str:
    """All results, one block per question.

    Args:
        intended: one entry per version.
        aligned: one entry per family, newer and older version.
        unintended: of the consumer model.
        difference: the largest |online - offline| of the served vectors.
    """
    newest = intended[-1].version
    lines = [
        "",
        "Consumer model trained on v0: will this user spend 1000 or more in the next window?",
        f"  {'newest version ' + str(newest) + ', the consumer gets':50} AUROC",
        f"  {'native v0 (keeping the old model alive)':50} {unintended.native:.3f}",
        f"  {f'user_embedding_v0, served from v{newest}':50} {unintended.served:.3f}",
        f"  {f'raw v{newest}, cut to the dimensions of v0':50} {unintended.raw:.3f}",
        "",
        "Intended task: Recall@50 of first purchases in the window after the training",
        "  v0 today: version 0's own model in that window. Windows differ: compare along a row.",
        "  version  dim  model  v0 today  most popular  recently popular",
    ]
    for row in intended:
        lines.append(
            f"  v{row.version:<7} {row.dim:>3}  {row.model:.3f}  {row.oldest:>8.3f}  "
            f"{row.popular:>12.3f}  {row.recently_popular:>16.3f}"
        )
    lines += [
        "",
        *_ALIGNMENT.splitlines(),
        *_columns([_HEADS, *map(_alignment, aligned)]),
    ]
    lines += [
        f"  Warning: {text}" for text in dict.fromkeys(t for e in aligned for t in e.warnings)
    ]
    return "\n".join([*lines, "", f"Online == offline: largest difference {difference:.1e}", _CODE])


def _alignment(entry: Alignment) -> list[str]:
    probes = entry.probes
    values = entry.singular_values
    return [
        entry.embedding,
        f"{entry.from_version} -> {entry.to_version}",
        _text(entry.r_squared),
        _text(entry.on_held_out),
        _text(entry.previous_error, "-"),
        _text(entry.error_of_mean),
        _text(entry.neighbour_overlap),
        _text(entry.dot_product_correlation),
        _text(probes.logistic),
        _text(probes.mlp),
        _text(probes.trees),
        "-" if values is None else f"{values[0]:.2f} ... {values[1]:.2f}",
    ]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in rows]
    return [("  " + "  ".join(row)).rstrip() for row in padded]


def _text(number: float | None, unknown: str = "?") -> str:
    return unknown if number is None else f"{number:.3f}"
