"""The demo's result, as text."""

from __future__ import annotations

from collections.abc import Sequence

from training.demo.evaluation import Intended, Unintended
from training.versions.alignment import Alignment

_CODE = """\
What the consumer writes, at v0 and ever after:
  store.get_historical_features(entity_df, ["user_embedding_v0:embedding"]).to_df()
  store.get_online_features(["user_embedding_v0:embedding"], [{"user_id": 12347}]).to_dict()"""


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
        "  version  dim  model  most popular  recently popular",
    ]
    for row in intended:
        lines.append(
            f"  v{row.version:<7} {row.dim:>3}  {row.model:.3f}  {row.popular:>12.3f}  "
            f"{row.recently_popular:>16.3f}"
        )
    lines += [
        "",
        "Alignment: ||served - native|| / ||native - mean||, both on the newer version's history.",
        "1 is the mean vector's, whose uncentred error on held-out entities is the error of mean.",
        "  embedding        chain   all    held out  error of mean  singular values",
    ]
    for entry in aligned:
        largest, smallest = entry.singular_values
        lines.append(
            f"  {entry.embedding:16} {entry.from_version} -> {entry.to_version}  "
            f"{_text(entry.on_all)}  {_text(entry.on_held_out):8}  "
            f"{_text(entry.error_of_mean):13}  {largest:.2f} ... {smallest:.2f}"
        )
    return "\n".join([*lines, "", f"Online == offline: largest difference {difference:.1e}", _CODE])


def _text(error: float | None) -> str:
    return "?" if error is None else f"{error:.3f}"
