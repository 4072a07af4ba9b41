"""What became of a contract, as the event of an activation or a relink keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from feast_bc.catalog.contract import Contract
from feast_bc.errors import ArtifactError
from feast_bc.publishing.refusal import Refusal
from feast_bc.stored_format import Text, first_problem

PREFIX = "contract:"
"""Before a consumer's name it names the check that `--force` waives."""

On = Literal["held_out", "all"]

HELD_OUT: On = "held_out"
ALL: On = "all"
"""Which entities were looked at: those that the fit has not seen, or all of both versions."""

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class Shadow:
    """What a consumer sees of served vectors z~ beside native ones z.

    Attributes:
        entities: how many were looked at.
        native, served: the contract's figure; None where it is not defined.
        flips: the share of entities of which the consumer decides otherwise; None where nothing
            tells what it decides.
        neighbour_overlap: the share of its 10 nearest neighbours that an entity keeps, as in
            `feast_bc.publishing.geometry`; None for fewer than 20 entities.
    """

    entities: int
    native: float | None = None
    served: float | None = None
    flips: float | None = None
    neighbour_overlap: float | None = None


@dataclass(frozen=True, config=_STRICT)
class Judgement:
    """A contract on version j, run for the chain of a candidate.

    Attributes:
        candidate: k.
        version: j.
        consumer: whose contract it is.
        what: what judged.
        terms: what was expected.
        on: which entities were looked at; None where it was not run.
        shadow: what the consumer sees of them.
        interval: of served - native, by the paired bootstrap; None where it was not run.
        segments: the same per segment, by its name.
        failures: why the contract does not hold; empty if it does.
    """

    candidate: int
    version: int
    consumer: Text
    what: Text
    terms: Text
    on: On | None = None
    shadow: Shadow = Shadow(0)
    interval: tuple[float, float] | None = None
    segments: Mapping[Text, Shadow] | None = None
    failures: tuple[Text, ...] = ()

    @classmethod
    def not_run(cls, candidate: int, version: int, contract: Contract, reason: str) -> Judgement:
        """Of a contract that could not be run: it does not hold either."""
        failures = (f"it cannot be run: {shown(reason)}",)
        return cls(
            candidate,
            version,
            contract.consumer,
            contract.what,
            contract.terms,
            failures=failures,
        )

    @property
    def holds(self) -> bool:
        return not self.failures

    @property
    def difference(self) -> float | None:
        """Served - native."""
        native, served = self.shadow.native, self.shadow.served
        return None if native is None or served is None else served - native

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why the candidate is refused."""
        return tuple(
            Refusal(
                f"{PREFIX}{self.consumer}",
                f"the contract of {self.consumer} on version {self.version} does not hold for "
                f"{self.candidate} -> {self.version}: {reason.rstrip('.')}",
                "Mend what a contract says that it cannot be run for."
                if self.on is None
                else "Correct the transformation, or agree on other terms with the consumer.",
            )
            for reason in self.failures
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as it stands in the event under gate["contracts"]."""
        plain: dict[str, Any] = _JUDGEMENT.dump_python(self, mode="json")
        return plain

    @classmethod
    def from_json(cls, judgement: object, *, of: str) -> Judgement:
        """Read `to_json` back.

        Raises:
            ArtifactError: it is no judgement.
        """
        try:
            return _JUDGEMENT.validate_json(json.dumps(judgement))
        except ValidationError as error:
            raise ArtifactError(
                f"{of}: expected what became of a contract, found another value "
                f"({first_problem(error)}). Restore the file from a backup."
            ) from error


_JUDGEMENT = TypeAdapter(Judgement)


def shown(text: str) -> str:
    """A message of somebody else's code, as a terminal may show it: one line, no control codes."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]
