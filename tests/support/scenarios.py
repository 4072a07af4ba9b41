"""Families for which looking at new rows alone would not do, and what is done with them."""

from __future__ import annotations

from tests.support.families import Family, Row
from tests.support.schedules import Step


def vector(version: int, seed: int = 1) -> tuple[float, ...]:
    return tuple(float(seed + i) for i in range(2 + version))


OLD_ROW_WINS_BACK = [Row(1, 1, 3, vector(1)), Row(0, 1, 10, vector(0))]

CASES: dict[str, tuple[Family, list[Step]]] = {
    "an older version's newer row in the window does not win": (
        Family(
            dims=[2, 3],
            rows=[Row(0, 1, 1, (1, 1)), Row(1, 1, 2, (1, 2, 3)), Row(0, 1, 6, (9, 9))],
            active={1: [(3, None)]},
        ),
        [Step(1, "apply", 2, (0, 1)), Step(4, "full"), Step(7, "incremental")],
    ),
    "a cut-over brings in a row older than the one it replaces": (
        Family(dims=[2, 3], rows=OLD_ROW_WINS_BACK, active={1: [(12, None)]}),
        [Step(1, "apply", 2, (0, 1)), Step(11, "full"), Step(13, "incremental")],
    ),
    "a cut-over is decided after the instant from which it counts": (
        Family(dims=[2, 3], rows=OLD_ROW_WINS_BACK, active={1: [(5, None)]}),
        [
            Step(1, "apply", 2, (0, 0)),
            Step(11, "full"),
            Step(12, "apply", 2, (0, 1)),
            Step(13, "incremental"),
        ],
    ),
    "a materialization runs between a cut-over and its apply": (
        Family(
            dims=[2, 3], rows=[*OLD_ROW_WINS_BACK, Row(0, 1, 13, (7, 7))], active={1: [(12, None)]}
        ),
        [
            Step(1, "apply", 2, (0, 0)),
            Step(11, "full"),
            Step(14, "incremental"),
            Step(15, "apply", 2, (0, 1)),
            Step(16, "incremental"),
        ],
    ),
    "a rollback brings the older version's row back": (
        Family(
            dims=[2, 3],
            rows=[Row(0, 1, 1, (1, 1)), Row(1, 1, 6, (1, 2, 3)), Row(1, 2, 6, (3, 2, 1))],
            active={1: [(5, 9)]},
        ),
        [Step(1, "apply", 2, (0, 1)), Step(7, "full"), Step(10, "incremental")],
    ),
    "a version comes back after a rollback": (
        Family(
            dims=[2, 3],
            rows=[Row(0, 1, 1, (1, 1)), Row(1, 1, 6, (1, 2, 3)), Row(1, 2, 6, (3, 2, 1))],
            active={1: [(5, 9), (12, None)]},
        ),
        [
            Step(1, "apply", 2, (0, 2)),
            Step(7, "full"),
            Step(10, "incremental"),
            Step(13, "incremental"),
        ],
    ),
    "an expired row gives way to an older version's, then to null": (
        Family(
            dims=[2, 3],
            rows=[Row(1, 1, 2, (1, 2, 3)), Row(0, 1, 4, (5, 5))],
            active={1: [(0, None)]},
            ttl_hours=6,
        ),
        [
            Step(1, "apply", 2, (0, 1)),
            Step(5, "full"),
            Step(9, "incremental"),
            Step(11, "incremental"),
        ],
    ),
    "a null vector ends the value that was served": (
        Family(
            dims=[2, 3],
            rows=[Row(0, 1, 1, (1, 1)), Row(1, 1, 3, (1, 2, 3)), Row(1, 1, 6, None)],
            active={1: [(2, None)]},
        ),
        [Step(1, "apply", 2, (0, 1)), Step(4, "full"), Step(7, "incremental")],
    ),
}
