"""Make the bundled sample from the original invoice lines of Online Retail II.

Usage: python -m training.interactions.compact_invoices LINES.parquet [OUT.parquet]

The input holds one row per invoice line with the columns invoice, item_id, quantity, unit_price,
user_id (null where unknown) and timestamp. `training/data/README.md` says what is changed.
"""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from training.interactions.interactions import BUNDLED

KEYS = ["timestamp", "user_id", "item_id", "cancelled"]


def compact(lines: pa.Table) -> pa.Table:
    """One row per user, instant, item and kind (purchase or cancellation), sorted by time.

    Args:
        lines: invoice (string), item_id (string), quantity (int64; negative on cancellations),
            unit_price (float64, GBP), user_id (int64 or null), timestamp (UTC).

    Returns:
        timestamp (timestamp[s, UTC]), user_id (int64), item_id (string), cancelled (bool),
        quantity (int32, positive), unit_price (float32, GBP).
    """
    cancelled = pc.starts_with(lines["invoice"], "C")
    is_product = pc.match_substring_regex(lines["item_id"], r"^\d{5}")
    has_price = pc.greater(lines["unit_price"], 0)
    sign_fits = pc.equal(pc.less(lines["quantity"], 0), cancelled)
    keep = pc.and_(
        pc.and_(pc.is_valid(lines["user_id"]), is_product), pc.and_(has_price, sign_fits)
    )
    quantity = pc.abs(lines["quantity"])
    rows = pa.table(
        {
            "timestamp": pc.cast(lines["timestamp"], pa.timestamp("s", "UTC")),
            "user_id": lines["user_id"],
            "item_id": pc.utf8_upper(lines["item_id"]),
            "cancelled": cancelled,
            "quantity": quantity,
            "amount": pc.multiply(pc.cast(quantity, pa.float64()), lines["unit_price"]),
        }
    ).filter(pc.and_(keep, pc.greater(quantity, 0)))
    merged = rows.group_by(KEYS, use_threads=False).aggregate(
        [("quantity", "sum"), ("amount", "sum")]
    )
    price = pc.divide(merged["amount_sum"], pc.cast(merged["quantity_sum"], pa.float64()))
    return (
        merged.select(KEYS)
        .append_column("quantity", pc.cast(merged["quantity_sum"], pa.int32()))
        .append_column("unit_price", pc.cast(pc.round(price, 2), pa.float32()))
        .sort_by([(key, "ascending") for key in KEYS])
    )


def write(table: pa.Table, path: str) -> None:
    """Write one zstd-compressed row group, dictionary-encoded."""
    pq.write_table(table, path, compression="zstd", compression_level=19, row_group_size=len(table))


if __name__ == "__main__":
    write(compact(pq.read_table(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else str(BUNDLED))
