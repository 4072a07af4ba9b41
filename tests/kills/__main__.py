"""`python -m tests.kills`: kill commands and materializations at what they write, one by one."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from benchmarks.redis_server import RedisServer
from tests.support.catalog_kills import COMMANDS, kill_everywhere
from tests.support.killed_runs import SCENARIOS, KilledRuns, numbers

_ALL = 10**6


def main(command_line: list[str] | None = None) -> int:
    """Run the command line; 1 if anything did not hold after a kill."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument(
        "--points", type=int, default=_ALL, help="of each run, spread over all of them [all]"
    )
    parser.add_argument("--store", choices=["sqlite", "redis"], action="append")
    parser.add_argument("--only", help="runs whose names contain this")
    options = parser.parse_args(command_line)

    began, total, failed = time.monotonic(), 0, 0
    print(f"{'run':42} {'points':>7} {'killed':>7} {'failed':>7}", flush=True)
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        for command in COMMANDS:
            title = f"catalog: {command}"
            if options.only is None or options.only in title:
                points = kill_everywhere(command, Path(folder) / command)
                total += points
                print(f"{title:42} {points:7} {points:7} {0:7}", flush=True)
        for store in options.store or ["sqlite", "redis"]:
            for name, scenario in SCENARIOS.items():
                title = f"{store}: {name}"
                if options.only is not None and options.only not in title:
                    continue
                address = server.address if store == "redis" else None
                runs = KilledRuns(Path(folder) / title, scenario, address)
                points, wrong, done = runs.points(), 0, 0
                for number in numbers(points, options.points):
                    try:
                        done += runs.kill(number)
                    except Exception:  # the other points are still of interest
                        wrong += 1
                        print(f"{title}, point {number}:\n{traceback.format_exc()}", flush=True)
                print(f"{title:42} {points:7} {done:7} {wrong:7}", flush=True)
                total, failed = total + done, failed + wrong
    minutes = (time.monotonic() - began) / 60
    print(f"{total} kills in {minutes:.0f} minutes, {failed} after which something did not hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
