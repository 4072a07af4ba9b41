"""What is stored for long: JSON that says its schema number, described as strict models.

A format is read by this release and all later ones. Whoever changes one raises its number, keeps
reading the older ones, and adds a golden file to `tests/golden/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    JsonValue,
    PlainSerializer,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json
from typing_extensions import Self

from feast_bc.errors import ArtifactError, CatalogError


def _isoformat(instant: datetime) -> str:
    return instant.isoformat()


Instant = Annotated[AwareDatetime, PlainSerializer(_isoformat, when_used="json")]
"""An aware datetime, in ISO 8601."""


_NOT_SHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of text, and lone surrogates."""


def is_text(value: str) -> bool:
    """Whether a terminal shows a text as it is."""
    return _NOT_SHOWN.search(value) is None


def _plain(value: str) -> str:
    if not is_text(value):
        raise ValueError("expected text without control characters")
    return value


Text = Annotated[str, AfterValidator(_plain)]
"""Text that may be printed."""


if TYPE_CHECKING:  # whoever reads a JSON object knows what is in it
    JsonObject: TypeAlias = dict[str, Any]
else:
    JsonObject = dict[str, JsonValue]


class Part(BaseModel):
    """A JSON object: these fields and no others, of exactly these types."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )


class StoredFormat(Part):
    """A whole file or message.

    Attributes:
        NOUN: what it is, for error messages.
        REMEDY: what to do about one that cannot be read, likewise.
        SCHEMA: the number that this release writes, and the newest that it reads.
        SINCE: the fields that came later than schema 1, each with its first number.
        schema_version: the number it was written with.
    """

    NOUN: ClassVar[str]
    REMEDY: ClassVar[str] = "Restore the file from a backup."
    SCHEMA: ClassVar[int]
    SINCE: ClassVar[Mapping[str, int]] = {}

    schema_version: int

    @model_validator(mode="after")
    def _has_the_fields_of_its_schema(self) -> Self:
        for name, since in self.SINCE.items():
            expected = self.schema_version >= since
            if (name in self.model_fields_set) != expected:
                field = "is missing" if expected else f"came with schema version {since}"
                raise ValueError(f"{name} {field}")
        return self

    @classmethod
    def loads(cls, data: bytes, *, of: str) -> Self:
        """Read what `dumps` wrote.

        Args:
            data: JSON.
            of: where it stands, for error messages.

        Raises:
            ArtifactError: it is no such format, or of a newer schema.
        """
        try:
            found = from_json(data, allow_inf_nan=False)
        except ValueError as error:  # also for what is nested too deeply
            raise _malformed(cls, data, of, str(error)) from error
        check_schema(found, cls.SCHEMA, of=of)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise _malformed(cls, data, of, first_problem(error)) from error

    def dumps(self) -> bytes:
        """The bytes to store.

        Raises:
            ValueError: it holds numbers that JSON has not.
        """
        return (json.dumps(self.as_json(), indent=2, allow_nan=False) + "\n").encode()

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        # A field that is not set is one that the schema it was read with has not.
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def json_values(values: Mapping[str, Any], *, of: str) -> dict[str, Any]:
    """What is left of values when JSON has kept them.

    Raises:
        CatalogError: JSON cannot hold them.
    """
    try:
        kept: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CatalogError(
            f"{of}: metrics must be plain JSON values and finite numbers ({error})."
        ) from error
    return kept


def check_schema(found: object, newest: int, *, of: str) -> None:
    """Raise ArtifactError for a JSON object of a schema that this release cannot read."""
    number = found.get("schema_version") if isinstance(found, dict) else None
    if isinstance(number, str) and number.isdecimal() and len(number) < 10:
        number = int(number)  # safetensors keeps text only
    if isinstance(number, int) and number > newest:
        raise ArtifactError(
            f"{of}: schema version {number} is newer than {newest}, the newest this release of "
            "feast-bc reads. Upgrade feast-bc."
        )


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def _malformed(kind: type[StoredFormat], data: bytes, of: str, problem: str) -> ArtifactError:
    return ArtifactError(
        f"{of}: expected {kind.NOUN} of schema version {kind.SCHEMA}, found {len(data)} bytes that "
        f"are none ({problem}). {kind.REMEDY}"
    )
