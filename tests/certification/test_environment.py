"""Feast's tests choose their own pytest."""

from __future__ import annotations

from certification.environment import ROOT, constraints


def test_constraints_say_nothing_of_pytest() -> None:
    ours = (ROOT / "constraints.txt").read_text()
    kept = constraints(ours)
    assert "pytest" in ours
    assert "pytest" not in kept
    assert "feast==" in kept
