"""What was stored by any release is read by this one; what is malformed or newer is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feast_bc.catalog.event import Event
from feast_bc.catalog.manifest import Manifest
from feast_bc.errors import FeastBCError
from feast_bc.offline.export import Export
from feast_bc.stored_format import StoredFormat
from feast_bc.transforms.artifact import ArtifactManifest, TensorHeader, dumps, loads
from feast_bc.views.registry_plan import RegistryPlan

GOLDEN = Path(__file__).parent / "golden"
FORMATS: dict[str, type[StoredFormat]] = {
    "artifact": ArtifactManifest,
    "event": Event,
    "export": Export,
    "manifest": Manifest,
    "registry_plan": RegistryPlan,
    "tensor_header": TensorHeader,
}


SCHEMAS = [(name, i) for name, kind in FORMATS.items() for i in range(1, kind.SCHEMA + 1)]


def stored(name: str, schema: int) -> Any:
    return json.loads((GOLDEN / f"{name}-{schema}.json").read_bytes())


def places(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [at, *(place for key, each in inner for place in places(each, (*at, key)))]


def put(value: Any, at: tuple[str | int, ...], new: Any) -> Any:
    """A JSON value with another one at a place."""
    if not at:
        return new
    key, *rest = at
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    copied[key] = put(copied[key], tuple(rest), new)
    return copied


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(("name", "schema"), SCHEMAS)
def test_golden_files_are_read_and_written_as_they_were(name: str, schema: int) -> None:
    read = FORMATS[name].loads((GOLDEN / f"{name}-{schema}.json").read_bytes(), of=name)
    written = json.loads(read.dumps())
    if name == "tensor_header":  # safetensors keeps text only
        written = {key: str(value) for key, value in written.items()}
    assert written == stored(name, schema)
    assert read.schema_version == schema


def test_a_plan_without_rollbacks_bears_one() -> None:
    data = json.dumps(stored("registry_plan", 1)).encode()
    assert RegistryPlan.loads(data, of="registry_plan").rollback_versions == 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_golden_file_of_each_schema(name: str) -> None:
    found = {path.name for path in GOLDEN.glob(f"{name}-*.json")}
    assert found == {f"{name}-{i}.json" for i in range(1, FORMATS[name].SCHEMA + 1)}


def test_the_golden_transformation() -> None:
    data = (GOLDEN / "backward-1.safetensors").read_bytes()
    transform = loads(data)
    assert repr(transform) == "AffineTransform(1 -> 0, 3 -> 2)"
    assert dumps(transform) == data


@pytest.mark.parametrize("name", FORMATS)
def test_a_newer_schema_is_refused(name: str) -> None:
    newer: Any = {"schema_version": FORMATS[name].SCHEMA + 1, "anything": [1]}
    if name == "tensor_header":
        newer["schema_version"] = str(newer["schema_version"])
    with pytest.raises(FeastBCError, match=f"{name}.*is newer than.*Upgrade feast-bc"):
        FORMATS[name].loads(json.dumps(newer).encode(), of=name)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"null", b"[1]", b"{", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_garbage(name: str, data: bytes) -> None:
    with pytest.raises(FeastBCError, match=f"{name}: expected"):
        FORMATS[name].loads(data, of=name)


@pytest.mark.parametrize(("name", "schema"), SCHEMAS)
@given(data=st.data())
def test_any_other_value_anywhere_is_read_or_refused(
    name: str, schema: int, data: st.DataObject
) -> None:
    """Never a TypeError, AttributeError or RecursionError."""
    whole = stored(name, schema)
    place = data.draw(st.sampled_from(places(whole)))
    changed = put(whole, place, data.draw(JSON))
    with contextlib.suppress(FeastBCError):
        FORMATS[name].loads(json.dumps(changed).encode(), of=name)


@pytest.mark.parametrize(("name", "schema"), SCHEMAS)
def test_every_field_is_needed_and_no_other_is_taken(name: str, schema: int) -> None:
    whole = stored(name, schema)
    for field in whole:
        less = {key: value for key, value in whole.items() if key != field}
        with pytest.raises(FeastBCError, match=f"{name}.*{field}"):
            FORMATS[name].loads(json.dumps(less).encode(), of=name)
    with pytest.raises(FeastBCError, match=f"{name}.*another"):
        FORMATS[name].loads(json.dumps({**whole, "another": 1}).encode(), of=name)


@pytest.mark.parametrize("name", FORMATS)
def test_a_later_field_does_not_stand_in_an_older_schema(name: str) -> None:
    for field, since in FORMATS[name].SINCE.items():
        older = {**stored(name, since), "schema_version": since - 1}
        with pytest.raises(FeastBCError, match=f"{field} came with schema version {since}"):
            FORMATS[name].loads(
                json.dumps({**stored(name, since - 1), field: older[field]}).encode(), of=name
            )
