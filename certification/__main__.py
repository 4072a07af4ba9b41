"""The command line."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import certification
from benchmarks.redis_server import RedisServer
from certification.areas import AREAS
from certification.comparison import Comparison, report
from certification.environment import make_environment
from certification.suite import Suite, SuiteError


def command_line() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m certification",
        description=certification.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--feast", type=Path, required=True, help="a checkout of Feast's repository")
    made.add_argument(
        "--areas",
        nargs="+",
        metavar="NAME",
        choices=[area.name for area in AREAS],
        default=[area.name for area in AREAS],
        help="only these: " + "; ".join(area.name for area in AREAS),
    )
    made.add_argument(
        "--output", type=Path, default=Path("runs/certification.json"), help="(%(default)s)"
    )
    return made


def commit_of(checkout: Path) -> str:
    """The commit that is checked out; what else the folder is, where git does not know it."""
    asked = subprocess.run(
        ["git", "-C", checkout, "log", "-1", "--format=%H of %cs"],  # noqa: S607
        capture_output=True,
        text=True,
    )
    return asked.stdout.strip() or "no git checkout"


def main() -> int:
    options = command_line().parse_args()
    folder = options.output.with_suffix("").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    python = make_environment(folder / "venv")
    comparisons = []
    with tempfile.TemporaryDirectory() as scratch, RedisServer(Path(scratch)) as redis:
        suite = Suite.copied(options.feast, python, folder, redis.address)
        for area in AREAS:
            if area.name in options.areas:
                stock, _ = suite.run(area, ours=False)
                ours, witnessed = suite.run(area, ours=True)
                comparisons.append(Comparison(area.name, stock, ours, witnessed))
                print("  ".join(comparisons[-1].row()), flush=True)
                # Written as it grows: all areas take long.
                options.output.write_text(content(comparisons, commit_of(options.feast)))
    print(report(comparisons))
    return int(not all(comparison.equal for comparison in comparisons))


def content(comparisons: Sequence[Comparison], commit: str) -> str:
    """The JSON of what was run so far."""
    made = {
        "feast": version("feast"),
        "feast_tests": commit,
        "equal": all(comparison.equal for comparison in comparisons),
        "areas": [comparison.content() for comparison in comparisons],
    }
    return json.dumps(made, indent=1) + "\n"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SuiteError as error:
        sys.exit(str(error))
