"""Stock's outcomes and ours, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from certification.outcomes import ABSENT, Outcome

HEADER = ("area", "stock", "ours", "differences", "through the provider")


@dataclass(frozen=True)
class Comparison:
    """One area, run twice.

    Attributes:
        area: its name.
        stock, ours: the outcome of each test.
        witnessed: how many tests made our provider.
    """

    area: str
    stock: Mapping[str, Outcome]
    ours: Mapping[str, Outcome]
    witnessed: int

    @property
    def differences(self) -> Mapping[str, tuple[Outcome, Outcome]]:
        """Tests that ended differently; one that only one side ran is among them."""
        return {
            test: pair
            for test in sorted({*self.stock, *self.ours})
            if not (pair := self._pair(test))[0].same_as(pair[1])
        }

    @property
    def expected_failures(self) -> Mapping[str, Outcome]:
        """Tests that fail with stock Feast and end no other way with our provider."""
        return {
            test: outcome
            for test, outcome in sorted(self.stock.items())
            if outcome.failed and test not in self.differences
        }

    @property
    def vacuous(self) -> bool:
        """Whether nothing passed, or no test made our provider: then the run says nothing."""
        return not self.witnessed or not any(o.end == "passed" for o in self.ours.values())

    @property
    def equal(self) -> bool:
        """Whether the provider was tried, and every test ended as with stock Feast."""
        return not (self.differences or self.vacuous)

    def row(self) -> tuple[str, ...]:
        return (
            self.area,
            counts(self.stock),
            counts(self.ours),
            str(len(self.differences)),
            str(self.witnessed),
        )

    def content(self) -> dict[str, object]:
        """All of it as JSON takes it."""
        return {
            "area": self.area,
            "stock": Counter(outcome.end for outcome in self.stock.values()),
            "ours": Counter(outcome.end for outcome in self.ours.values()),
            "through_the_provider": self.witnessed,
            "differences": [
                {"test": test, "stock": vars(stock), "ours": vars(ours)}
                for test, (stock, ours) in self.differences.items()
            ],
            "expected_failures": [
                {"test": test, "stock": vars(outcome)}
                for test, outcome in self.expected_failures.items()
            ],
        }

    def _pair(self, test: str) -> tuple[Outcome, Outcome]:
        return self.stock.get(test, ABSENT), self.ours.get(test, ABSENT)


def counts(outcomes: Mapping[str, Outcome]) -> str:
    """Passed / failed / skipped."""
    ends = Counter(outcome.end for outcome in outcomes.values())
    failed = sum(outcome.failed for outcome in outcomes.values())
    return f"{ends['passed']} / {failed} / {ends['skipped']}"


def report(comparisons: Sequence[Comparison]) -> str:
    """The table, and below it the differences and the expected failures by name."""
    rows = [comparison.row() for comparison in comparisons]
    text = [
        "Feast's suite: passed / failed / skipped",
        tabulate(rows, HEADER, "github", disable_numparse=True),
    ]
    for comparison in comparisons:
        text += [
            f"DIFFERENT: {comparison.area}: {test}\n"
            f"  stock: {stock.end} {stock.message}\n  ours:  {ours.end} {ours.message}"
            for test, (stock, ours) in comparison.differences.items()
        ]
        if comparison.vacuous:
            text.append(f"VACUOUS: {comparison.area}: no test passed through the provider")
    for comparison in comparisons:
        text += [
            f"expected, fails with stock too: {comparison.area}: {test}\n"
            f"  stock: {outcome.end} {outcome.message}"
            for test, outcome in comparison.expected_failures.items()
        ]
    return "\n".join(text)
