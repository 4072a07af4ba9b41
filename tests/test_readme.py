"""The README's story, run as it stands: its files, its Python and its commands, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```(yaml|python|console)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    namespace: dict[str, object] = {}
    for language, text in BLOCKS:
        title = re.match(r"# (\S+\.(?:yaml|py))\n", text)
        if title:
            (tmp_path / title[1]).write_text(text)
        elif language == "python":
            exec(compile(text, "README.md", "exec"), namespace)  # noqa: S102 - our own README
        else:
            run(text, tmp_path)
    ran = [language for language, _ in BLOCKS]
    assert ran.count("python") >= 4
    assert ran.count("console") >= 2


def run(session: str, folder: Path) -> None:
    """Run a console session in one shell; the output it shows must be what comes out."""
    commands = [line[2:] for line in session.splitlines() if line.startswith("$ ")]
    shown = [line for line in session.splitlines() if not line.startswith("$ ")]
    commands.insert(0, "export FEAST_BC_CATALOG=data/catalog")
    done = subprocess.run(
        ["bash", "-ec", "\n".join(commands)],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONWARNINGS": "ignore",
        },
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in shown:
        assert line in done.stdout.splitlines(), done.stdout
