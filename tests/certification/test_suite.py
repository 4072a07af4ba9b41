"""An area is run twice: with stock Feast, and with the name `local` meaning our provider.

A small checkout stands for Feast's; its tests run with this suite's own pytest.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from certification.areas import AREAS, Area
from certification.comparison import Comparison
from certification.suite import Suite, SuiteError

TESTS = """
import subprocess
import sys
from feast import RepoConfig
from feast.infra.provider import get_provider

CONFIG = dict(project="p", provider="local", registry="r.db", entity_key_serialization_version=3)

def test_passes():
    pass

def test_takes_the_provider_for_stock():
    assert type(get_provider(RepoConfig(**CONFIG))).__module__ == "feast.infra.passthrough_provider"

def test_asks_a_command():
    code = f"import test_few as few; few.get_provider(few.RepoConfig(**few.CONFIG))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="tests/universal")

def test_leaves_a_server():
    with open("server.pid", "w") as file:
        file.write(str(subprocess.Popen(["sleep", "600"]).pid))

def test_fails_for_both():
    raise RuntimeError("no server")
"""
FEW = Area("few", ("tests/universal",), integration=False, but="not nothing")
FILE = "tests.universal.test_few::"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    universal = tmp_path / "feast" / "sdk" / "python" / "tests" / "universal"
    universal.mkdir(parents=True)
    (universal / "test_few.py").write_text(TESTS)
    for folder in (universal, universal.parent):
        (folder / "__init__.py").touch()
    (universal.parents[1] / "pytest.ini").write_text("[pytest]\n")
    return tmp_path / "feast"


@pytest.fixture
def suite(checkout: Path, tmp_path: Path) -> Suite:
    folder = tmp_path / "runs"
    folder.mkdir()
    return Suite.copied(checkout, Path(sys.executable), folder, "127.0.0.1:1")


def test_only_one_side_has_the_provider(suite: Suite) -> None:
    stock, none = suite.run(FEW, ours=False)
    ours, witnessed = suite.run(FEW, ours=True)
    comparison = Comparison("few", stock, ours, witnessed)
    assert none == 0
    # In the process of the tests, and in a command that a test started.
    assert witnessed == 2
    assert set(comparison.differences) == {f"{FILE}test_takes_the_provider_for_stock"}
    assert set(comparison.expected_failures) == {f"{FILE}test_fails_for_both"}
    assert stock[f"{FILE}test_asks_a_command"].end == "passed"
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int((suite.folder / "server.pid").read_text())).wait(timeout=60)


def test_a_suite_that_cannot_run_names_its_log(suite: Suite) -> None:
    with pytest.raises(SuiteError, match=r"gone: pytest ended with 4; .*gone-stock\.log"):
        suite.run(Area("gone", ("tests/gone",)), ours=False)


def test_a_folder_without_the_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="expected a checkout of Feast's repository"):
        Suite.copied(tmp_path, Path(sys.executable), tmp_path, "127.0.0.1:1")


def test_areas_are_told_apart_by_name() -> None:
    assert len({area.name for area in AREAS}) == len(AREAS)
