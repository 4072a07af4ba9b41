"""How tests ended, read from pytest's JUnit file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ENDS = ("error", "failure", "skipped")
"""Elements of a test in a JUnit file, worst first; a test that passed has none of them."""


@dataclass(frozen=True)
class Outcome:
    """How a test ended.

    Attributes:
        end: "passed", "skipped", "failure" or "error" (outside the test itself), or "absent".
        kind: the class of what a failing test raised, "" for others.
        message: the first line of what was said about it.
    """

    end: str
    kind: str = ""
    message: str = ""

    @property
    def failed(self) -> bool:
        return self.end not in ("passed", "skipped")

    def same_as(self, other: Outcome) -> bool:
        """Whether both ended alike; messages name paths and addresses, and are not compared."""
        return (self.end, self.kind) == (other.end, other.kind)


PASSED, ABSENT = Outcome("passed"), Outcome("absent")


def read_outcomes(path: Path) -> Mapping[str, Outcome]:
    """The outcome of each test of a JUnit file.

    A test that fails and whose cleaning up fails too stands there twice; the worse counts.
    """
    found: dict[str, Outcome] = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):  # noqa: S314 - of this run
        test = f"{case.get('classname', '')}::{case.get('name', '')}"
        found[test] = max(_outcome(case), found.get(test, PASSED), key=_badness)
    return found


def _outcome(case: ElementTree.Element) -> Outcome:
    for end in ENDS:
        element = case.find(end)
        if element is not None:
            message = (element.get("message") or "").strip().partition("\n")[0]
            return Outcome(end, "" if end == "skipped" else _kind(message), message)
    return PASSED


def _kind(message: str) -> str:
    """The class of the exception that a message names; pytest puts "failed on setup with" first."""
    said = message.partition('with "')[2] or message
    return said.partition(":")[0].strip() if said else ""


def _badness(outcome: Outcome) -> int:
    return len(ENDS) - ENDS.index(outcome.end) if outcome.end in ENDS else 0
