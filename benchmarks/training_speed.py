"""How fast does GraphSAGE learn: one full-graph pass for many pairs, against the paper's schedule?

Usage: python -m benchmarks.training_speed [--data FILE] [--dim 64] [--layers 2] [--runs 3]

Both sides train the same model code on the same history, on the CPU with one thread, with the
paper's loss: users drawn uniformly, one item of theirs, one negative that they did not buy.

- reference: the schedule of the paper's code, written from its description: a full-graph pass
  and a step of Adam (1e-3) per 2,048 pairs. It draws with our sampler and keeps its adjacency, so
  it is faster than that code, which draws in Python and rebuilds the adjacency in every step.
- ours: a pass per `--batch` pairs, scored by sampled products, at a higher learning rate.

Two tables, medians over the rounds with the ratio of the pairs:

- pairs per second, training only
  (also by processor time, which hardly moves with what else the machine does);
- seconds to the same Recall@50 on v0's validation window: the best that the reference reaches in
  `--epochs` epochs, which is when its clock stops; the time of looking does not count. Where ours
  never gets there, the time is infinite.

Peak memory is that of a fresh interpreter that loads the data and trains for some steps.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from benchmarks.harness import Report, parser, peak_rss
from training.encoders.graph import Graph
from training.encoders.graphsage import GraphSAGE, GraphSAGEOptions
from training.encoders.pair_sampler import PairSampler
from training.encoders.schedule import Schedule
from training.interactions.history import History, history
from training.interactions.interactions import BUNDLED, load
from training.interactions.slices import slice_by_count
from training.tasks.recall import first_purchases, most_popular, recall

_REFERENCE_BATCH, _REFERENCE_RATE = 2048, 1e-3
_PENALTY = 1e-2
_QUANTILES = (0.5, 0.6, 0.7, 0.8, 0.9)
_STEPS = 20  # of the reference, for peak memory
SIDES = ("reference", "ours")

Trainer = Iterator[int]
"""Yields the number of pairs after each step."""


@dataclass(frozen=True)
class Task:
    """The history up to v0's validation window, and what users buy in it."""

    past: History
    truth: sp.csr_matrix

    @classmethod
    def of(cls, data: Path) -> Task:
        interactions = load(data)
        window = slice_by_count(interactions.purchases().timestamp, _QUANTILES)[0]
        past = history(interactions, window.validation_start)
        later = interactions.between(window.validation_start, window.end)
        return cls(past, first_purchases(later, past))

    def recall(self, encoder: GraphSAGE) -> float:
        """Recall@50 as published: with the moments of the final parameters."""
        encoder.settle(self.past)
        encoder.eval()
        vectors = encoder.users(self.past).numpy(), encoder.items(self.past).numpy()
        encoder.train()
        return recall(*vectors, self.truth, self.past.bought)


def new_encoder(task: Task, arguments: argparse.Namespace, seed: int) -> GraphSAGE:
    options = GraphSAGEOptions(penalty=_PENALTY, layers=(arguments.layers,))
    return GraphSAGE.fresh(task.past, 0, arguments.dim, seed, options).train()


def reference(encoder: GraphSAGE, task: Task, seed: int) -> Trainer:
    """A full-graph pass per 2,048 pairs."""
    past = task.past
    generator = torch.Generator().manual_seed(seed)
    sampler = PairSampler(past.bought, generator)
    uniform = torch.ones(past.bought.nnz, dtype=torch.float64)
    graph = Graph.of(past.bought, torch.device("cpu"))
    optimizer = torch.optim.Adam(encoder.parameters(), lr=_REFERENCE_RATE)
    while True:
        drawn = sampler.draw(past.bought.nnz, uniform)
        order = torch.randperm(len(drawn.user), generator=generator)
        for chosen in torch.split(order, _REFERENCE_BATCH):
            users, items = torch.split(encoder(past, graph), list(past.bought.shape))
            user = users[drawn.user[chosen]]
            positive, negative = items[drawn.positive[chosen]], items[drawn.negative[chosen]]
            worse = (user * negative).sum(dim=1) - (user * positive).sum(dim=1)
            lengths = sum(vectors.square().sum() for vectors in (user, positive, negative))
            ranked = torch.nn.functional.softplus(worse).mean()
            loss = ranked + _PENALTY * 0.5 * lengths / len(chosen)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield len(chosen)


def ours(encoder: GraphSAGE, task: Task, seed: int, batch: int, rate: float) -> Trainer:
    """The steps that `training.versions.trainer.fit` takes."""
    schedule = Schedule(batch=batch, masked=0.0, seed=seed)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=rate)
    intended = encoder.task(task.past, schedule)
    while True:
        for step in intended.epoch(aligned=False):
            optimizer.zero_grad()
            step.loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield min(batch, task.past.bought.nnz)


class Side:
    """One side of one round: an encoder, its trainer and its clock."""

    def __init__(self, name: str, task: Task, arguments: argparse.Namespace, seed: int) -> None:
        self._task = task
        self.encoder = new_encoder(task, arguments, seed)
        if name == "reference":
            self._trainer = reference(self.encoder, task, seed)
        else:
            self._trainer = ours(self.encoder, task, seed, arguments.batch, arguments.rate)
        self.spent, self.pairs = np.zeros(2), 0  # seconds: elapsed, and of this process
        self.found: list[tuple[npt.NDArray[np.float64], float]] = []  # (spent, recall)

    def train(self, pairs: int) -> None:
        """Until that many more pairs are done."""
        began, done = _clocks(), 0
        while done < pairs:
            done += next(self._trainer)
        self.spent = self.spent + _clocks() - began
        self.pairs += done

    def look(self) -> float:
        score = self._task.recall(self.encoder)
        self.found.append((self.spent, score))
        return score

    def best(self) -> float:
        return max(score for _, score in self.found)

    def spent_until(self, goal: float) -> npt.NDArray[np.float64]:
        never = np.full(2, math.inf)
        return next((spent for spent, score in self.found if score >= goal), never)


def _clocks() -> npt.NDArray[np.float64]:
    return np.array([time.perf_counter(), time.process_time()])


def round_of(task: Task, arguments: argparse.Namespace, seed: int) -> tuple[Side, Side]:
    """Both sides in turns, so that whatever else the machine does falls on both."""
    epoch = task.past.bought.nnz
    slow, fast = (Side(name, task, arguments, seed) for name in SIDES)
    for side in (slow, fast):
        side.train(1)  # one step of either: first-use costs are nobody's
        side.spent, side.pairs = np.zeros(2), 0
    for _ in range(arguments.epochs):
        slow.train(epoch)
        slow.look()
        for _ in range(arguments.turns):
            fast.train(epoch)
            fast.look()
    return slow, fast


def some_steps(name: str, data: Path, arguments: argparse.Namespace) -> None:
    """Load the data and train for some steps: the call whose peak memory is measured."""
    torch.set_num_threads(1)
    side = Side(name, Task.of(data), arguments, 0)
    side.train(_STEPS * _REFERENCE_BATCH)


def main() -> None:
    options = parser(__doc__, runs=3)
    options.add_argument("--data", type=Path, default=BUNDLED, help="interactions (%(default)s)")
    options.add_argument("--dim", type=int, default=64)
    options.add_argument("--layers", type=int, default=2)
    options.add_argument("--batch", type=int, default=65_536, help="our pairs per pass")
    options.add_argument("--rate", type=float, default=0.04, help="our learning rate")
    options.add_argument("--epochs", type=int, default=12, help="of the reference, per round")
    options.add_argument("--turns", type=int, default=3, help="our epochs for one of those")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    report = Report("training_speed", arguments)
    task = Task.of(arguments.data)
    past = task.past
    users, items = past.bought.shape
    popular = recall(*most_popular(past.bought), task.truth, past.bought)
    print(
        f"{users:,} users, {items:,} items, {past.bought.nnz:,} purchases; {arguments.layers} "
        f"layer(s) of {arguments.dim}. Most popular: Recall@50 {popular:.4f}\n"
    )
    rounds = [round_of(task, arguments, seed) for seed in range(arguments.runs)]
    peak = dict.fromkeys(SIDES, math.nan)
    if arguments.memory:
        peak = {name: peak_rss(some_steps, name, arguments.data, arguments) for name in SIDES}
    _speed(report, rounds, peak)
    _time_to_recall(report, rounds)


def _speed(report: Report, rounds: Sequence[tuple[Side, Side]], peak: Mapping[str, float]) -> None:
    rates = np.array([[side.pairs / side.spent for side in both] for both in rounds])
    report.table(
        "Training",
        ["", "pairs/s", "times the reference", "by processor time", "peak RSS, MiB"],
        _rows(rates[:, :, 0], rates[:, 1] / rates[:, 0], peak),
    )


def _time_to_recall(report: Report, rounds: Sequence[tuple[Side, Side]]) -> None:
    goals = [slow.best() for slow, _ in rounds]
    spent = np.array(
        [
            [side.spent_until(goal) for side in both]
            for both, goal in zip(rounds, goals, strict=True)
        ]
    )
    best = [float(np.median([both[i].best() for both in rounds])) for i in range(2)]
    report.table(
        f"To the reference's best Recall@50 (median {best[0]:.4f})",
        ["", "seconds", "times faster", "by processor time", "best Recall@50"],
        _rows(spent[:, :, 0], spent[:, 0] / spent[:, 1], dict(zip(SIDES, best, strict=True))),
    )


def _rows(
    values: npt.NDArray[np.float64], ratios: npt.NDArray[np.float64], last: Mapping[str, float]
) -> list[list[object]]:
    """A row per side: the median value, the median ratios, and a last column."""
    slow, fast = np.median(values, axis=0).tolist()
    times: list[object] = np.median(ratios, axis=0).tolist()
    return [
        [SIDES[0], slow, 1.0, 1.0, last[SIDES[0]]],
        [SIDES[1], fast, *times, last[SIDES[1]]],
    ]


if __name__ == "__main__":
    main()
