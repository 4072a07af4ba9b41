"""Feast data sources as plain JSON, for the catalog's manifests and the registry."""

from __future__ import annotations

from typing import Any

from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from google.protobuf.json_format import MessageToDict, ParseDict

from feast_bc.errors import CatalogError


def source_to_json(source: DataSource) -> dict[str, Any]:
    """The data source's protobuf message as a JSON object, without its volatile timestamps."""
    proto = source.to_proto()
    proto.ClearField("meta")
    proto.data_source_class_type = f"{type(source).__module__}.{type(source).__name__}"
    message: dict[str, Any] = MessageToDict(proto, preserving_proto_field_name=True)
    return message


def source_from_json(message: dict[str, Any], *, of: str) -> DataSource:
    """Rebuild the data source that `source_to_json` described.

    Args:
        message: the JSON object.
        of: where it stands, for error messages.

    Raises:
        CatalogError: it is not a data source, or its class cannot be imported here.
    """
    try:
        return DataSource.from_proto(ParseDict(message, DataSourceProto()))
    except Exception as error:  # a source's class may be anybody's
        raise CatalogError(
            f"{of}: the data source cannot be rebuilt "
            f"({type(error).__name__}: {error}). Install the package that defines "
            f"{message.get('data_source_class_type', 'its class')}, or publish the version again."
        ) from error
