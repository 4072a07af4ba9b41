"""What may be imported as a check, and what may not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from feast_bc.catalog.contract import Contract, check_names
from feast_bc.contracts.entry_point import load_check
from feast_bc.errors import CatalogError, ContractError

MODULE = """
import numpy as np
from subprocess import call

def evaluate(entities, vectors):
    return 1.0

def typed(entities: object, vectors: "np.ndarray") -> float:
    return 1.0

def more(entities, vectors, other=1):
    return 1.0

def any_(*entities, **vectors):
    return 1.0

number = 1
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "their_checks.py").write_text(MODULE)
    (tmp_path / "their_exit.py").write_text("raise SystemExit(0)")
    (tmp_path / "their_fault.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("their_checks", "their_exit", "their_fault"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "their_checks"


@pytest.mark.parametrize("function", ["evaluate", "typed"])
def test_a_check_is_imported_by_its_name(module: str, function: str) -> None:
    assert load_check(f"{module}:{function}")(None, None) == 1.0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("their_checks:missing", "their_checks has no function 'missing'; expected def missing"),
        ("their_checks:number", "has no function 'number'"),
        ("their_checks:more", r"takes \(entities, vectors, other=1\); expected exactly"),
        ("their_checks:any_", r"takes \(\*entities, \*\*vectors\)"),
        ("their_checks:call", "expected exactly"),
        ("their_exit:evaluate", r"their_exit cannot be imported \(SystemExit: 0\)"),
        ("their_fault:evaluate", r"cannot be imported \(ZeroDivisionError: "),
        (
            "not_installed.checks:evaluate",
            "not_installed.checks cannot be imported .ModuleNotFound",
        ),
        ("os:system", "os is a module of Python"),
        ("subprocess:call", "subprocess is a module of Python"),
        ("feast_bc.cli.commands:main", "a module of Python or of feast-bc"),
        ("numpy:save", "expected exactly"),
    ],
)
def test_what_is_no_check(module: str, name: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        load_check(name)


@pytest.mark.parametrize(
    "name",
    [
        "evaluate",
        "their_checks",
        "their_checks:",
        ":evaluate",
        "their_checks:evaluate:twice",
        "their_checks:__class__",
        "_private:evaluate",
        "their_checks:evaluate()",
        "../their_checks:evaluate",
        "their checks:evaluate",
        "their_checks:evaluate\n",
        "their_checks.:evaluate",
        "their_checks:evaluate.__globals__",
    ],
)
def test_hostile_names_are_neither_added_nor_read(name: str) -> None:
    with pytest.raises(CatalogError, match=r"Check .*expected the name of a module"):
        check_names("churn_model", name)
    with pytest.raises(ValueError, match="check"):
        Contract(consumer="churn_model", check=name, tolerance=0.0)


@pytest.mark.parametrize("name", ["", "1", "a" * 65, "a/b", "a\x1b[2J", "a\n", "../a", "a:b"])
def test_names_that_no_consumer_has(name: str) -> None:
    with pytest.raises(CatalogError, match=r"Consumer .*expected a letter"):
        check_names(name, None)
    with pytest.raises(ValueError, match="consumer"):
        Contract(consumer=name, check="a:b", tolerance=0.0)
