"""Entity keys of requests, byte for byte as Feast serializes them."""

from __future__ import annotations

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from feast_bc.columns.entity_keys import serialized_entities

VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda v: Value(int64_val=v)),
    st.integers(-(2**31), 2**31 - 1).map(lambda v: Value(int32_val=v)),
    st.text(max_size=20).map(lambda v: Value(string_val=v)),
    st.binary(max_size=20).map(lambda v: Value(bytes_val=v)),
    st.integers(0, 2**40).map(lambda v: Value(unix_timestamp_val=v)),
)


@given(
    names=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3, unique=True),
    data=st.data(),
)
def test_as_feast_serializes_them(names: list[str], data: st.DataObject) -> None:
    entity = st.fixed_dictionaries(dict.fromkeys(names, VALUES))
    entities = data.draw(st.lists(entity, max_size=4))
    expected = [
        serialize_entity_key(
            EntityKey(join_keys=list(entity), entity_values=list(entity.values())),
            entity_key_serialization_version=3,
        )
        for entity in entities
    ]
    assert list(serialized_entities(entities, 3)) == expected
