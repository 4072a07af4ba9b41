"""The source of a version view: plain data in the registry, checked on the way back."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from feast.data_source import DataSource, PushSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto

from feast_bc.errors import ArtifactError, ProviderError
from feast_bc.views.source import BackwardCompatibleSource
from tests.support.families import Family
from tests.support.presence import there

FAMILY = Family(dims=[2, 3, 4], rows=[], active={1: [(1, 2), (3, None)]}, ttl_hours=5)


@pytest.fixture
def source(tmp_path: Path) -> BackwardCompatibleSource:
    found = FAMILY.write(tmp_path).view(0).batch_source
    assert isinstance(found, BackwardCompatibleSource)
    return found


def test_round_trip(source: BackwardCompatibleSource) -> None:
    back = DataSource.from_proto(DataSourceProto.FromString(source.to_proto().SerializeToString()))
    assert back == source
    assert isinstance(back, BackwardCompatibleSource)
    assert back.members == source.members
    assert (back.version, back.dim, back.ttl) == (0, 2, timedelta(hours=5))


def test_it_is_plain_json(source: BackwardCompatibleSource) -> None:
    plan = json.loads(source.to_proto().custom_options.configuration)
    assert [m["version"] for m in plan["members"]] == [0, 1, 2]
    assert plan["members"][1]["transform"]["sha256"] == there(source.members[1].transform).sha256


def test_a_changed_plan_is_another_source(tmp_path: Path) -> None:
    before = FAMILY.write(tmp_path).view(0).batch_source
    active = Family(dims=FAMILY.dims, rows=[], active={1: [(1, None)]}, ttl_hours=5)
    assert active.write(tmp_path).view(0).batch_source != before
    assert FAMILY.write(tmp_path).view(0).batch_source == before
    assert before != PushSource(name="other", batch_source=before.members[0].source)


def test_a_plan_of_a_newer_release(source: BackwardCompatibleSource) -> None:
    proto = source.to_proto()
    plan = json.loads(proto.custom_options.configuration)
    proto.custom_options.configuration = json.dumps({**plan, "schema_version": 99}).encode()
    with pytest.raises(ArtifactError, match=r"user_embedding_v0.*schema version 99.*Upgrade"):
        BackwardCompatibleSource.from_proto(proto)


@pytest.mark.parametrize("garbage", [b"", b"[]", b'{"schema_version": 1}'])
def test_a_malformed_plan(source: BackwardCompatibleSource, garbage: bytes) -> None:
    proto = source.to_proto()
    proto.custom_options.configuration = garbage
    with pytest.raises(ArtifactError, match=r"user_embedding_v0.*expected the plan.*feast apply"):
        BackwardCompatibleSource.from_proto(proto)


def test_no_table_holds_its_vectors(source: BackwardCompatibleSource) -> None:
    with pytest.raises(ProviderError, match=r"provider: feast_bc.BackwardCompatibleProvider"):
        source.get_table_query_string()
