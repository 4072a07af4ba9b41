"""What of Feast's suite is run, by area and by store."""

from __future__ import annotations

from dataclasses import dataclass

_OFFLINE = "tests/integration/offline_store"
_ONLINE = "tests/integration/online_store"


@dataclass(frozen=True)
class Area:
    """Tests that are run together over one pair of stores.

    Attributes:
        name: what a row of the table is called.
        paths: files and folders of Feast's tests, below its `sdk/python`.
        offline: a key of `certification.stores.OFFLINE`.
        online: a key of `certification.stores.ONLINE`.
        integration: whether these are the tests that Feast marks `integration`; else the others.
        left_out: files that need what no machine has by itself, such as a container or an account.
        but: an expression of pytest's `-k` for single tests of that kind.
    """

    name: str
    paths: tuple[str, ...]
    offline: str = "dask"
    online: str = "sqlite"
    integration: bool = True
    left_out: tuple[str, ...] = ()
    but: str = ""


def _offline(store: str) -> Area:
    return Area(
        f"offline, {store}",
        (_OFFLINE,),
        offline=store,
        left_out=(
            f"{_OFFLINE}/test_dqm_validation.py",
            f"{_OFFLINE}/test_s3_custom_endpoint.py",
        ),
    )


def _online(store: str) -> Area:
    return Area(
        f"online, {store}",
        (
            f"{_ONLINE}/test_universal_online.py",
            f"{_ONLINE}/test_universal_online_types.py",
            f"{_ONLINE}/test_universal_e2e.py",
            f"{_ONLINE}/test_push_features_to_online_store.py",
        ),
        online=store,
        but="not dynamo",
    )


def _materialization(store: str) -> Area:
    return Area(
        f"materialization, {store}",
        (
            "tests/integration/materialization/test_universal_materialization.py",
            "tests/integration/local_feast_tests",
        ),
        online=store,
    )


AREAS = (
    _offline("dask"),
    _offline("duckdb"),
    _online("sqlite"),
    _online("redis"),
    Area(
        "online, unit",
        ("tests/unit/online_store", "tests/unit/local_feast_tests"),
        integration=False,
        but="not milvus and not dynamo",
    ),
    _materialization("sqlite"),
    _materialization("redis"),
    Area("compute engine, Spark", ("tests/component/spark",), online="redis"),
    Area(
        "feature server",
        ("tests/integration/online_store/test_remote_online_store.py",),
        # Asks a Keycloak server, which is a container.
        but="not oidc",
    ),
    Area(
        "feature server, unit",
        (
            "tests/unit/test_feature_server.py",
            "tests/unit/test_feature_server_async.py",
            "tests/unit/test_feature_server_utils.py",
        ),
        integration=False,
    ),
    Area("offline server", ("tests/integration/offline_server",), but="not oidc"),
    Area("command line", ("tests/integration/cli",)),
)
