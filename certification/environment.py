"""The virtual environment in which Feast's suite runs: it wants an older pytest than we do."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = "aws,duckdb,grpcio,redis,spark,sqlite-vec,test"
"""Of Feast; `test` pins its pytest and plugins. Without `aws` the online tests are not imported."""
# Imported by Feast's tests, and in none of these extras.
FURTHER = ("assertpy", "google-cloud-bigquery", "httpx", "kubernetes", "mock")


def constraints(text: str) -> str:
    """The lines of a constraints file that do not speak of pytest or its plugins."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("pytest"))


def make_environment(folder: Path) -> Path:
    """Make or complete the environment in a folder.

    Returns:
        its Python.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pinned = folder / "constraints.txt"
    pinned.write_text(constraints((ROOT / "constraints.txt").read_text()))
    wanted = [f"feast[{EXTRAS}]=={version('feast')}", *FURTHER, "--editable", str(ROOT)]
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--constraint", str(pinned), *wanted],
        check=True,
    )
    return python
