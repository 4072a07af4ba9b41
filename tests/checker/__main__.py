"""`python -m tests.checker`: hold feast-bc against its rule over random histories."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.redis_server import RedisServer
from tests.checker.histories import history
from tests.checker.replay import Outcome, replay, shortest


def main(command_line: list[str] | None = None) -> int:
    """Run the command line; 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description=__doc__)
    parser.add_argument("--histories", type=int, default=500, help="how many [%(default)s]")
    parser.add_argument("--steps", type=int, default=20, help="of each, after its beginning [20]")
    parser.add_argument("--seed", type=int, default=0, help="of the first history [0]")
    parser.add_argument("--store", choices=["sqlite", "redis", "both"], default="both")
    parser.add_argument("--jobs", type=int, default=2, help="processes [2]")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a mismatch")
    parser.add_argument("--shorten", type=float, default=60, metavar="SECONDS", help="[60]")
    options = parser.parse_args(command_line)

    began = time.monotonic()
    counts: Counter[str] = Counter()
    failed = []
    with ExitStack() as stack:
        redis = None
        if options.store != "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            redis = stack.enter_context(RedisServer(Path(folder))).address
        choices: dict[str, list[str | None]] = {
            "sqlite": [None],
            "redis": [redis],
            "both": [None, redis],
        }
        stores = choices[options.store]
        seeds = range(options.seed, options.seed + options.histories)
        with ProcessPoolExecutor(options.jobs) as pool:
            runs = [(seed, options.steps, stores[seed % len(stores)]) for seed in seeds]
            # One process needs no pool.
            outcomes = (map if options.jobs == 1 else pool.map)(run, *zip(*runs, strict=True))
            for seed, outcome in zip(seeds, outcomes, strict=True):
                counts += outcome.counts
                counts["histories"] += 1
                if outcome.error is not None:
                    failed.append(seed)
                    print(f"seed {seed}: {told(outcome)}", flush=True)
                    if not options.keep_going:
                        pool.shutdown(cancel_futures=True)
                        break
        for name, count in sorted(counts.items()):
            print(f"{count:>9} {name}")
        steps = sum(count for name, count in counts.items() if name.startswith("step "))
        seconds = time.monotonic() - began
        print(f"{steps:>9} steps in {seconds:.0f} s, {options.jobs * seconds / steps:.3f} s each")
        if failed and options.shorten:
            seed = failed[0]
            report(seed, options.steps, stores[seed % len(stores)], options.shorten)
    if failed:
        print(f"{len(failed)} histories failed; seeds {', '.join(map(str, failed))}")
    return 1 if failed else 0


def run(seed: int, steps: int, redis: str | None) -> Outcome:
    """The history of a seed, in a process of its own."""
    logging.disable()
    return replay(history(seed, steps), redis)


def report(seed: int, steps: int, redis: str | None, seconds: float) -> None:
    """Print what a history did until it failed, and the least that fails in the same way."""
    told_of = history(seed, steps)
    failed = replay(told_of, redis)
    print(f"\nSeed {seed}, {told_of.offline}, {'redis' if redis else 'sqlite'}")
    for family in told_of.families:
        print(f"  {family.name}: dimensions {family.dims}, keys {family.keys}")
    print("What was done:", *(f"  {step}" for _, step in failed.steps), sep="\n")
    print(told(failed))
    least = shortest(told_of, redis, failed, seconds)
    print("The least that fails:", *(f"  {step}" for _, step in least.steps), sep="\n")
    print(told(least))


def told(outcome: Outcome) -> str:
    """What a history failed with: a mismatch in words, anything else with its traceback."""
    if isinstance(outcome.error, AssertionError) or outcome.error is None:
        return str(outcome.error)
    return "".join(traceback.format_exception(outcome.error))


if __name__ == "__main__":
    sys.exit(main())
