"""What a JUnit file says of each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from certification.outcomes import Outcome, read_outcomes

FILE = """<testsuites><testsuite>
<testcase classname="tests.a" name="test_good"/>
<testcase classname="tests.a" name="test_bad[x]">
  <failure message="AssertionError: 1 is not 2&#10;where">traceback</failure></testcase>
<testcase classname="tests.a" name="test_no_server">
  <error message='failed on setup with "DockerException: none"'>traceback</error></testcase>
<testcase classname="tests.a" name="test_left_out"><skipped message="no Java"/></testcase>
<testcase classname="tests.a" name="test_twice"><failure message="ValueError: a"/></testcase>
<testcase classname="tests.a" name="test_twice">
  <error message='failed on teardown with "OSError: b"'/></testcase>
<testcase classname="tests.a" name="test_untidy"/>
<testcase classname="tests.a" name="test_untidy"><error message="OSError"/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("test", "end", "kind"),
    [
        ("test_good", "passed", ""),
        ("test_bad[x]", "failure", "AssertionError"),
        ("test_no_server", "error", "DockerException"),
        ("test_left_out", "skipped", ""),
        ("test_twice", "error", "OSError"),
        ("test_untidy", "error", "OSError"),
    ],
)
def test_reads_how_a_test_ended(tmp_path: Path, test: str, end: str, kind: str) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(FILE)
    outcome = read_outcomes(path)[f"tests.a::{test}"]
    assert (outcome.end, outcome.kind) == (end, kind)


def test_a_message_is_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(FILE)
    assert read_outcomes(path)["tests.a::test_bad[x]"].message == "AssertionError: 1 is not 2"


def test_the_same_failure_may_name_another_path() -> None:
    stock = Outcome("failure", "OSError", "OSError: /tmp/a")
    assert stock.same_as(Outcome("failure", "OSError", "OSError: /tmp/b"))
    assert not stock.same_as(Outcome("failure", "ValueError", "ValueError: /tmp/a"))
    assert not stock.same_as(Outcome("error", "OSError", "OSError: /tmp/a"))
