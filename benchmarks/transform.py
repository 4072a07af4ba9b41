"""Backward transformation of whole columns, against the bare matrix product.

Usage: python -m benchmarks.transform [--rows N] [--dim D] [--hops N] [--runs N]

A folded chain over a list<float32> column in Arrow, the result in Arrow; beside it numpy's product
of the same sizes on bare matrices (what BLAS can do), and the chain applied step by step.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.harness import Report, paired, parser
from feast_bc import AffineTransform, compose
from feast_bc.columns.vectors import from_matrix
from feast_bc.transforms import ChainTransform


def main(arguments: argparse.Namespace) -> None:
    report = Report("transform", arguments)
    rows, dim, hops = arguments.rows, arguments.dim, arguments.hops
    rng = np.random.default_rng(0)
    steps = [
        AffineTransform(
            rng.normal(size=(dim, dim)) / np.sqrt(dim), from_version=k, to_version=k - 1
        )
        for k in range(hops, 0, -1)
    ]
    folded = compose(steps)
    assert isinstance(folded, AffineTransform)  # noqa: S101
    stepwise = ChainTransform(steps)
    matrix = rng.standard_normal((rows, dim), np.float32)
    column = from_matrix(matrix)
    np.testing.assert_allclose(
        folded.apply_arrow(column[:1000]).flatten(),
        stepwise.apply_arrow(column[:1000]).flatten(),
        rtol=1e-3,
        atol=1e-4,
    )
    cases = {
        "bare product": lambda: matrix @ folded.weight.T,
        "folded chain, Arrow to Arrow": lambda: folded.apply_arrow(column),
        "step by step, Arrow to Arrow": lambda: stepwise.apply_arrow(column),
    }
    times = paired(cases, arguments.runs)
    flops = 2 * rows * dim * dim
    report.table(
        f"{rows:,} vectors x {dim}, a chain of {hops} hops",
        ["case", "s", "GFLOP/s of one product", "bare/case", "CPU bare/case"],
        [
            [
                case,
                times.median(case),
                flops / times.median(case) / 1e9,
                times.ratio("bare product", case),
                times.cpu_ratio("bare product", case),
            ]
            for case in cases
        ],
    )


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, default=1_000_000, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=128, help="(%(default)s)")
    made.add_argument("--hops", type=int, default=4, help="(%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
