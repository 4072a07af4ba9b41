"""Pages of the documentation, run as they stand: their files, their Python and their commands.

Tests of the README and the guides run on the installed wheel too (`.ci/wheel`), where nothing else
of the tests is at hand: this module needs the standard library only.
"""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

RUN = ("console", "python", "yaml")
"""Languages of blocks that are run, or written where their first line is the name of a file."""

SHOWN = ("bash", "json", "text")
"""Languages of blocks that are not: installations, long commands, and what is printed."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: as its fence says; "" for none.
        text: its lines.
        section: the heading of level two above it; "" before the first.
    """

    language: str
    text: str
    section: str

    @property
    def file(self) -> str | None:
        """The file that it is, by its first line."""
        title = re.match(r"# (\S+\.(?:yaml|py))\n", self.text)
        return title[1] if title else None


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, by its path in the repository."""
    found, section = [], ""
    pattern = re.compile(r"^## ([^\n]*)\n|^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for match in pattern.finditer((ROOT / page).read_text()):
        if match[3] is None:
            section = match[1]
        else:
            found.append(Block(match[2], match[3], section))
    return found


def run_page(
    page: str,
    folder: Path,
    namespace: dict[str, Any] | None = None,
    *,
    sections: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Run the blocks of a page in order, in a folder where the process already stands.

    Args:
        page: its path in the repository.
        folder: takes the files, and is where commands run.
        namespace: what its Python finds; gets what it leaves.
        sections: run those under these headings only.
    """
    namespace = {} if namespace is None else namespace
    ran = 0
    for block in blocks(page):
        if block.language not in RUN or (sections is not None and block.section not in sections):
            continue
        ran += 1
        if block.file:
            (folder / block.file).write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, page, "exec"), namespace)  # noqa: S102 - our own page
        else:
            run_session(block.text, folder)
    assert ran, f"{page} has nothing to run in {sections}"
    return namespace


def commands_of(page: str) -> list[str]:
    """The lines that a page's console sessions run."""
    sessions = [block.text for block in blocks(page) if block.language == "console"]
    return [line[2:] for text in sessions for line in text.splitlines() if line.startswith("$ ")]


def run_session(session: str, folder: Path) -> None:
    """Run a console session in one shell; the output it shows must be what comes out."""
    commands = [line[2:] for line in session.splitlines() if line.startswith("$ ")]
    shown = [line for line in session.splitlines() if not line.startswith("$ ")]
    printed = run_commands("\n".join(commands), folder).splitlines()
    for line in shown:
        assert line in printed, "\n".join([f"not printed: {line}", *printed])


def run_commands(commands: str, folder: Path, *, fails: bool = False) -> str:
    """Run lines of bash, with this environment's commands; return all that they print."""
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=folder,
        env={
            "FEAST_BC_CATALOG": "catalog",
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": without_training(),
            "PYTHONWARNINGS": "ignore",
        },
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def without_training() -> str:
    """A PYTHONPATH for commands of those who serve: without packages that a training needs.

    Feast imports these wherever they are, and that takes seconds.
    """
    return os.pathsep.join(filter(None, [_absent(), os.environ.get("PYTHONPATH")]))


@cache
def _absent() -> str:
    """A folder whose modules say that they are not there, until this process ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    for name in ("matplotlib", "torch"):
        (Path(folder.name) / f"{name}.py").write_text("raise ImportError('not here')\n")
    return folder.name
