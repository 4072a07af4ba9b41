"""The packages of `training/` import each other in one direction."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import training

ROOT = Path(training.__file__).parent

# A package may import itself and the packages of the lines above its own.
LAYERS = (
    ("interactions",),
    ("encoders", "tasks"),
    ("versions",),
    ("comparison", "demo"),
    ("tuning", "report", "maps"),
)
HEIGHT = {package: height for height, layer in enumerate(LAYERS) for package in layer}
COMMAND_LINE = {"__init__", "__main__", "stages"}  # no package imports these
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.glob("*/*.py"))


def imported(source: str) -> Iterator[str]:
    """The dotted names that a module imports; those of `from a import b` as `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import would get past the check.
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_package_has_a_place_in_the_order() -> None:
    assert {path.parts[0] for path in MODULES} == set(HEIGHT)


def test_only_the_command_line_stands_outside_the_packages() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == COMMAND_LINE


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_from_below(path: Path) -> None:
    own = path.parts[0]
    for name in imported((ROOT / path).read_text()):
        top, *rest = name.split(".")
        assert top not in ("benchmarks", "tests"), f"{path} imports {name}"
        if top == "training":
            other = rest[0]
            below = other in HEIGHT and HEIGHT[other] < HEIGHT[own]
            assert other == own or below, f"{path} imports {name}"


def test_the_check_sees_all_forms_of_an_import() -> None:
    source = """
import training.demo.run
from training import report
def later():
    from training.tasks.recall import recall
"""
    assert set(imported(source)) == {
        "training.demo.run",
        "training.report",
        "training.tasks.recall.recall",
    }
