"""Print constraints that pin every direct dependency in pyproject.toml to its lowest version.

What a dependency brings itself stays free. Those of `training` and `dev` are not for users; they
stay as constraints.txt has them, where nothing pins them here.

    python .ci/lowest_constraints.py duckdb redis
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[1]


def lowest(requirement: str) -> str:
    """`name==version` of a requirement such as `name[extra]>=version,<other; marker`."""
    found = re.match(r"([A-Za-z0-9._-]+)(?:\[.*?\])?\s*>=\s*([0-9.]+)", requirement)
    if found is None:
        sys.exit(f"pyproject.toml: {requirement!r} has no lower bound; expected name>=version.")
    return f"{found[1]}=={found[2]}"


def main(extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    print("\n".join(sorted({lowest(requirement) for requirement in wanted})))


if __name__ == "__main__":
    main(sys.argv[1:])
