"""Where tests stand: beside what they test, and apart from each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LIBRARY = TESTS.parent / "feast_bc"
ROOMS = sorted(path.name for path in LIBRARY.iterdir() if (path / "__init__.py").exists())

IMPORT = re.compile(
    r"^\s*(?:from\s+[\w.]*\btest_\w+\s+import\b.*|(?:from\s+[\w.]+\s+)?import\b.*\btest_\w+.*)$",
    re.MULTILINE,
)
"""Of a test module; also in a script that a test runs."""


@pytest.mark.parametrize(
    "line",
    [
        "from tests.online.test_push import push",
        "    from .test_push import push",
        "from tests.online import test_push",
        "import tests.online.test_push",
    ],
)
def test_an_import_of_a_test_is_seen(line: str) -> None:
    assert IMPORT.findall(f"import re\n{line}\nimport os") == [line]


def test_nothing_is_imported_from_a_test() -> None:
    """What two tests share stands in `tests/support`."""
    texts = {path: path.read_text() for path in TESTS.rglob("*.py") if path != Path(__file__)}
    assert len(texts) > 100
    assert {path: IMPORT.findall(text) for path, text in texts.items() if IMPORT.search(text)} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_tests_are_named_after_what_they_test(room: str) -> None:
    """After a module of the package, or after the package."""
    named = {path.stem.removeprefix("test_") for path in (TESTS / room).glob("test_*.py")}
    assert named
    assert named <= {room, *(path.stem for path in (LIBRARY / room).iterdir())}
