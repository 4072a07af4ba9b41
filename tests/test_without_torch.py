"""Serving needs no torch: the whole path runs in an environment that lacks it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]

SERVING = """
import importlib.util, sys
assert importlib.util.find_spec("torch") is None, "torch is installed here"
from pathlib import Path
import feast_bc, feast_bc.cli, feast_bc.posthoc
from tests.support.families import USER, Family, Row, at, make_store, offline, online, same

folder = Path(sys.argv[1])
family = Family(
    dims=[2, 3], rows=[Row(0, 1, 1, (1, 2)), Row(1, 1, 4, (1, 2, 3))], active={1: [(5, None)]}
)
store = make_store(folder)
store.apply([USER, *family.write(folder).feature_views().values()])
store.materialize(at(0), at(6))
expected = [family.value(0, 1, 6)]
same(online(store, "user_embedding_v0", [1]), expected)
same(offline(store, "user_embedding_v0", [1], [6]), expected)
print("served")
"""


def test_serving_without_torch(tmp_path: Path) -> None:
    # Every installed package, but for torch and what only torch brings in.
    site = tmp_path / "site-packages"
    site.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("torch", "functorch", "__pycache__")):
            (site / entry.name).symlink_to(entry)
    (tmp_path / "repo").mkdir()
    run = subprocess.run(
        [sys.executable, "-S", "-c", SERVING, str(tmp_path / "repo")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("served\n")
