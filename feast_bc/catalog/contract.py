"""What a consumer of a version expects of the values that its view serves."""

from __future__ import annotations

import re
from typing import Literal, get_args

from pydantic import Field, model_validator
from typing_extensions import Self

from feast_bc.errors import CatalogError
from feast_bc.stored_format import Part, Text
from feast_bc.transforms.artifact import digest

Metric = Literal["auc", "accuracy", "mse", "mae"]

METRICS: tuple[Metric, ...] = get_args(Metric)

ERRORS: tuple[Metric, ...] = ("mse", "mae")
"""The metrics of which less is better."""

CONSUMER = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
"""The name of a consumer."""

_PART = r"[A-Za-z][A-Za-z0-9_]*"
CHECK = rf"^{_PART}(\.{_PART})*:{_PART}$"
"""An entry point: a module and a public function in it."""


class ContractFile(Part):
    """A file of a contract, in the folder of its version.

    Attributes:
        file: its name, made of its content.
        sha256: hex digest of it.
    """

    file: str = Field(pattern=r"^(model|sample)-[0-9a-f]{12}\.(safetensors|onnx|parquet)$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @classmethod
    def new(cls, role: str, suffix: str, data: bytes) -> ContractFile:
        """Describe a model or a sample whose file holds `data`, and give the file a name."""
        sha256 = digest(data)
        return cls(file=f"{role}-{sha256[:12]}{suffix}", sha256=sha256)


class Contract(Part):
    """What must hold for a consumer's model.

    Attributes:
        consumer: its name, one contract of each per version.
        check: the entry point `module:function` of a check, by its name alone; None for `model`.
        model: a frozen model; None for `check`.
        sample: a parquet table of the entities that count: the join keys, the label, the segment.
            None where the check is asked about any entities.
        label: the column of the sample with what is true; None where the check judges itself.
        metric: how predictions are compared with the labels; None likewise.
        threshold: above it a score is a yes; None where nothing says so.
        segment: the column of the sample by which the figures are told apart.
        limit: the figure on served vectors must be this at least; at most, of `ERRORS`. None for
            no such limit.
        tolerance: by how much the figure may be worse than on native vectors.
    """

    consumer: str = Field(pattern=CONSUMER)
    check: str | None = Field(default=None, pattern=CHECK, max_length=200)
    model: ContractFile | None = None
    sample: ContractFile | None = None
    label: Text | None = Field(default=None, max_length=200)
    metric: Metric | None = None
    threshold: float | None = None
    segment: Text | None = Field(default=None, max_length=200)
    limit: float | None = None
    tolerance: float = Field(ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.check is None) == (self.model is None):
            raise ValueError("expected either a check or a model")
        if (self.metric is None) != (self.label is None):
            raise ValueError("a metric needs a label, and a label a metric")
        if self.model is not None and self.metric is None:
            raise ValueError("a model needs a metric")
        if (self.label or self.segment) and self.sample is None:
            raise ValueError("a label and a segment are columns of a sample")
        return self

    @property
    def less_is_better(self) -> bool:
        """Whether the figure is an error."""
        return self.metric in ERRORS

    @property
    def files(self) -> tuple[ContractFile, ...]:
        """The files that it stands on."""
        return tuple(file for file in (self.model, self.sample) if file is not None)

    @property
    def what(self) -> str:
        """What judges, in a few words."""
        how = self.check or (self.model and self.model.file) or ""
        return f"{self.metric} of {how}" if self.metric else how

    @property
    def terms(self) -> str:
        """What is expected, in a few words."""
        worse = "up" if self.less_is_better else "down"
        limits = [f"{worse} {self.tolerance:g} at most"]
        if self.limit is not None:
            side = "at most" if self.less_is_better else "at least"
            limits.insert(0, f"{side} {self.limit:g}")
        return ", ".join(limits)


def check_names(consumer: str, check: str | None) -> None:
    """Refuse names that a contract cannot have.

    Raises:
        CatalogError: the consumer's, or that of the entry point.
    """
    if re.fullmatch(CONSUMER, consumer) is None or consumer.endswith("\n"):
        raise CatalogError(
            f"Consumer {consumer!r}: expected a letter, then up to 63 letters, digits, dots, "
            "dashes or underscores. Example: churn_model."
        )
    if check is not None and (re.fullmatch(CHECK, check) is None or check.endswith("\n")):
        raise CatalogError(
            f"Check {check!r}: expected the name of a module and of a public function in it. "
            "Example: churn_check:evaluate."
        )
