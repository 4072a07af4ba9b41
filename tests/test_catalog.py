import json
import multiprocessing
import os
import subprocess
import sys
import uuid
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path

import fsspec
import numpy as np
import pytest
from feast import FileSource
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.activation import Activation
from feast_bc.catalog import EmbeddingCatalog
from feast_bc.errors import (
    ArtifactError,
    CatalogError,
    ChainGapError,
    DimensionError,
    DirectionError,
    UnknownVersionError,
    VersionConflictError,
)
from feast_bc.event_log import ACTIVATE, RETIRE, ROLLBACK, Event, fold
from feast_bc.holdout import Holdout
from feast_bc.transforms import compose
from tests.test_transforms import affine, mlp

T0 = datetime(2026, 1, 1, tzinfo=timezone.utc)
DIMS = [3, 4, 5]
LINKS = {1: affine(1, 4, 3), 2: mlp(2, 5, 4)}


def source(version: int = 0, **options) -> FileSource:
    path = f"/vectors/v{version}.parquet"
    return FileSource(
        name=f"users_v{version}", path=path, timestamp_field="event_timestamp", **options
    )


def publish(catalog: EmbeddingCatalog, version: int, **changes):
    content = {
        "source": source(version),
        "dim": DIMS[version],
        "join_keys": ["user_id"],
        "transform": LINKS.get(version),
    }
    return catalog.publish("user_embedding", version, **{**content, **changes})


@pytest.fixture(params=["local", "memory"])
def catalog(request, tmp_path):
    root = tmp_path / "catalog" if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return EmbeddingCatalog(root)


@pytest.fixture
def local(tmp_path):
    """A local catalog with versions 0, 1 and 2."""
    catalog = EmbeddingCatalog(tmp_path / "catalog")
    for version in range(3):
        publish(catalog, version)
    return catalog


def files_of(catalog):
    fs, path = fsspec.core.url_to_fs(catalog.root)
    return {name: fs.cat_file(name) for name in fs.find(path)}


def test_publish_and_read_back(catalog):
    assert catalog.embeddings() == []
    tagged = source(0, tags={"team": "a"}, field_mapping={"vec": "embedding"})
    publish(catalog, 0, source=tagged, metrics={"recall": 0.4})
    publish(catalog, 1, holdout=Holdout(0.2))
    assert catalog.embeddings() == ["user_embedding"]
    zero, one = catalog.versions("user_embedding")
    assert (zero.version, zero.dim, zero.transform, zero.source) == (0, 3, None, tagged)
    assert (one.version, one.dim, one.feature, one.retired) == (1, 4, "embedding", False)
    assert repr(one.transform.load()) == repr(LINKS[1])
    listed = catalog.published("user_embedding")
    assert listed[0].manifest.metrics == {"recall": 0.4}
    assert listed[1].manifest.parent == listed[0].sha256
    assert listed[1].manifest.holdout == Holdout(0.2)
    assert all(check.ok for check in catalog.verify())


def test_publishing_the_same_again_changes_nothing(catalog):
    first = publish(catalog, 0, metrics={"a": 1, "b": [1, 2]})
    before = files_of(catalog)
    again = publish(catalog, 0, metrics={"b": (1, 2), "a": 1, "alignment": {"measured": "later"}})
    assert again == first
    assert files_of(catalog) == before


@pytest.mark.parametrize(
    ("version", "changes", "fields"),
    [
        (1, {"transform": affine(1, 4, 3, seed=9)}, "transform"),
        (1, {"feature": "vector"}, "feature"),
        (1, {"source": source(0), "metrics": {"x": 1}}, "source, metrics"),
        (1, {"holdout": Holdout()}, "holdout"),
        (0, {"dim": 7}, "dim"),
    ],
)
def test_differing_content_is_refused(catalog, version, changes, fields):
    publish(catalog, 0)
    publish(catalog, 1)
    before = files_of(catalog)
    with pytest.raises(VersionConflictError, match=f"with another {fields};"):
        publish(catalog, version, **changes)
    assert files_of(catalog) == before


@pytest.mark.parametrize(
    ("version", "changes", "error", "message"),
    [
        (0, {"transform": LINKS[1]}, DirectionError, "is the oldest"),
        (1, {"transform": None}, ChainGapError, "needs its backward transformation 1 -> 0"),
        (2, {}, ChainGapError, "publish version 1 first"),
        (1, {"transform": LINKS[2]}, DirectionError, "expected a transformation 1 -> 0"),
        (1, {"transform": affine(1, 4, 2)}, DimensionError, "4 -> 3"),
        (1, {"transform": affine(1, 5, 3)}, DimensionError, "4 -> 3"),
        (1, {"join_keys": ["item_id"]}, CatalogError, "user_id; got item_id"),
        (1, {"join_keys": "user_id"}, CatalogError, "a list of join keys"),
        (-1, {"dim": 1}, CatalogError, "version >= 0"),
        (1, {"metrics": {"loss": float("nan")}}, CatalogError, "finite numbers"),
        (1, {"metrics": {"loss": object()}}, CatalogError, "plain JSON"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_no_trace(
    catalog, version, changes, error, message
):
    publish(catalog, 0)
    before = files_of(catalog)
    with pytest.raises(error, match=message):
        publish(catalog, version, **changes)
    assert files_of(catalog) == before


@pytest.mark.parametrize("name", ["", "1user", "user embedding", "../user", "user-embedding"])
def test_names_become_feature_views(catalog, name):
    with pytest.raises(CatalogError, match=r"Embedding name .* expected a letter"):
        catalog.publish(name, 0, source=source(), dim=3, join_keys=["id"], transform=None)


def test_activation_rollback_and_retirement(catalog):
    for version in range(3):
        publish(catalog, version)
    catalog.activate("user_embedding", 1, T0)
    gate = {"passed": False, "measured": []}
    later = T0 + timedelta(hours=5)
    catalog.activate("user_embedding", 2, T0 + timedelta(hours=1), forced=True, gate=gate)
    rolled_back = catalog.rollback("user_embedding", at=later)
    assert rolled_back.version == 2
    assert rolled_back.activations == (Activation(T0 + timedelta(hours=1), later),)
    catalog.activate("user_embedding", 2, T0 + timedelta(hours=9))
    assert catalog.retire("user_embedding", 0).retired
    catalog.retire("user_embedding", 0)
    catalog.rollback("user_embedding", 1, at=T0)
    zero, one, two = catalog.versions("user_embedding")
    assert [v.retired for v in (zero, one, two)] == [True, False, False]
    assert one.activations == (Activation(T0, T0),)
    assert [a.active_until for a in two.activations] == [later, None]
    history = catalog.version("user_embedding", 2).events
    assert [e.event for e in history] == ["activate", "rollback", "activate"]
    assert (history[0].forced, history[0].gate) == (True, gate)
    assert [e.event for e in catalog.version("user_embedding", 0).events] == ["retire"]
    assert all(check.ok for check in catalog.verify())


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda c: c.activate("user_embedding", 0, T0), CatalogError, "no older views"),
        (
            lambda c: c.activate("user_embedding", 1, T0),
            CatalogError,
            "version 1 is active already",
        ),
        (lambda c: c.activate("user_embedding", 7, T0), UnknownVersionError, "published: 0, 1, 2"),
        (
            lambda c: c.activate("user_embedding", 2, T0.replace(tzinfo=None)),
            CatalogError,
            "no time zone",
        ),
        (
            lambda c: c.rollback("user_embedding", at=T0 - timedelta(days=1)),
            CatalogError,
            "lies before that",
        ),
        (lambda c: c.rollback("user_embedding", 2, at=T0), CatalogError, "version 2 is not active"),
        (lambda c: c.rollback("user_embedding", 7, at=T0), UnknownVersionError, "no version 7"),
        (lambda c: c.rollback("nobody", at=T0), UnknownVersionError, "it has: user_embedding"),
        (lambda c: c.retire("user_embedding", 7), UnknownVersionError, "no version 7"),
        (lambda c: c.versions("nobody"), UnknownVersionError, "it has: user_embedding"),
        (lambda c: c.verify("nobody"), UnknownVersionError, "it has: user_embedding"),
        (lambda c: c.transform("user_embedding", 0), DirectionError, "0 -> -1"),
        (lambda c: c.chain("user_embedding", 1, 1), DirectionError, "newer version to an older"),
        (lambda c: c.chain("user_embedding", 3, 0), UnknownVersionError, "no version 3"),
    ],
)
def test_requests_that_make_no_sense(local, act, error, message):
    local.activate("user_embedding", 1, T0)
    before = files_of(local)
    with pytest.raises(error, match=message):
        act(local)
    assert files_of(local) == before


def test_rollback_without_any_activation(local):
    with pytest.raises(CatalogError, match="no version is active"):
        local.rollback("user_embedding", at=T0)


def test_transform_and_chain(local):
    vectors = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    expected = compose([LINKS[2], LINKS[1]]).apply(vectors)
    chain = local.chain("user_embedding", 2, 0)
    np.testing.assert_array_equal(chain.apply(vectors), expected)
    assert repr(local.transform("user_embedding", 1)) == repr(LINKS[1])


def test_local_roots_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    catalog = EmbeddingCatalog("here")
    assert catalog.root == str(tmp_path / "here")
    publish(catalog, 0)
    publish(catalog, 1)
    monkeypatch.chdir("/")
    assert catalog.versions("user_embedding")[1].transform.load().from_version == 1


# --- damage ---------------------------------------------------------------------------------


def tensor_file(catalog, version):
    return next(Path(catalog.root, "user_embedding", f"v{version}").glob("*.safetensors"))


def manifest_file(catalog, version):
    return Path(catalog.root, "user_embedding", f"v{version}", "manifest.json")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def problems(catalog):
    return {check.subject: check.problem for check in catalog.verify() if not check.ok}


def test_a_tampered_transformation(local):
    path = tensor_file(local, 1)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ArtifactError, match=f"{path.name}: sha256 mismatch, expected .* found"):
        local.transform("user_embedding", 1)
    found = problems(local)
    assert "sha256 mismatch" in found["user_embedding: version 1: transformation"]
    assert set(found) == {"user_embedding: version 1: transformation", "user_embedding: chain"}


def test_a_missing_transformation(local):
    tensor_file(local, 2).unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        local.chain("user_embedding", 2, 0)
    assert "missing" in problems(local)["user_embedding: version 2: transformation"]


def test_a_tampered_manifest_breaks_the_line_of_parents(local):
    edit(manifest_file(local, 0), metrics={"recall": 1})
    assert "expected parent" in problems(local)["user_embedding: version 1: manifest"]


def test_a_manifest_that_belongs_elsewhere(local):
    edit(manifest_file(local, 2), version=3)
    assert (
        "expected user_embedding version 2"
        in problems(local)["user_embedding: version 2: manifest"]
    )


def test_a_missing_manifest_is_a_gap(local):
    manifest_file(local, 1).unlink()
    with pytest.raises(ChainGapError, match=r"v1/manifest\.json is missing, but version 2"):
        local.versions("user_embedding")
    assert "missing" in problems(local)["user_embedding: version 1: manifest"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema_version": 1}'])
def test_a_truncated_manifest(local, content):
    manifest_file(local, 2).write_text(content)
    with pytest.raises(ArtifactError, match=r"v2/manifest\.json"):
        local.versions("user_embedding")
    assert "user_embedding: version 2: manifest" in problems(local)


def test_newer_schemas_say_upgrade(local):
    local.activate("user_embedding", 1, T0)
    event = Path(local.root, "user_embedding/events/000001.json")
    for path in (event, manifest_file(local, 2)):
        edit(path, schema_version=2)
        with pytest.raises(ArtifactError, match=f"{path.name}.*Upgrade feast-bc"):
            local.versions("user_embedding")


def test_a_damaged_event_log(local):
    local.activate("user_embedding", 1, T0)
    local.rollback("user_embedding", at=T0)
    events = Path(local.root, "user_embedding/events")
    (events / "000001.json").rename(events / "000003.json")
    with pytest.raises(ArtifactError, match=r"000001\.json is missing"):
        local.versions("user_embedding")
    (events / "000003.json").unlink()
    edit(events / "000002.json", version=9)
    (events / "000002.json").rename(events / "000001.json")
    assert "version 9 is not active" in problems(local)["user_embedding: event log"]
    edit(events / "000001.json", event="retire")
    assert "version 9, which is not published" in problems(local)["user_embedding: event log"]
    edit(events / "000001.json", event="explode")
    with pytest.raises(CatalogError, match="Unknown event 'explode'"):
        local.versions("user_embedding")


def test_a_source_of_an_unknown_class(local):
    path = manifest_file(local, 0)
    stored = json.loads(path.read_text())["source"]
    edit(
        path,
        source={**stored, "type": "CUSTOM_SOURCE", "data_source_class_type": "no.such.Source"},
    )
    with pytest.raises(CatalogError, match=r"no\.such.*Install the package"):
        local.versions("user_embedding")


# --- unreachable ----------------------------------------------------------------------------


def test_an_unknown_protocol():
    with pytest.raises(CatalogError, match=r"catalog nope://bucket/x: .*Protocol not known"):
        EmbeddingCatalog("nope://bucket/x")


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_missing_driver():
    with pytest.raises(CatalogError, match=r"Install s3fs.*the fsspec driver"):
        EmbeddingCatalog("s3://bucket/x")


def test_a_root_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    catalog = EmbeddingCatalog(tmp_path / "file")
    with pytest.raises(CatalogError, match=r"Cannot list the catalog .*is a file"):
        catalog.embeddings()
    with pytest.raises(CatalogError, match="Cannot"):
        publish(catalog, 0)


def test_a_filesystem_that_fails(local, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.ls", fail)
    with pytest.raises(CatalogError, match=f"{local.root}: ConnectionError: no route to host"):
        local.versions("user_embedding")


# --- races and crashes ----------------------------------------------------------------------


def race(root: str, seed: int, barrier, results) -> None:
    catalog = EmbeddingCatalog(root)
    transform = affine(1, 4, 3, seed=seed)
    barrier.wait()
    try:
        publish(catalog, 1, transform=transform, metrics={"seed": seed})
        results.put((seed, "won"))
    except Exception as error:
        results.put((seed, type(error).__name__))


def activate_at(root: str, hours: int, barrier, results) -> None:
    catalog = EmbeddingCatalog(root)
    barrier.wait()
    try:
        catalog.activate("user_embedding", hours, T0 + timedelta(hours=hours))
        results.put((hours, "won"))
    except Exception as error:
        results.put((hours, type(error).__name__))


def run_two(target, root, arguments):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    workers = [context.Process(target=target, args=(root, a, barrier, results)) for a in arguments]
    for worker in workers:
        worker.start()
    outcomes = dict(results.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(timeout=60)
    return outcomes


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("attempt", range(5))
def test_of_two_racing_publishers_one_wins(tmp_path, attempt):
    catalog = EmbeddingCatalog(tmp_path / "catalog")
    publish(catalog, 0)
    outcomes = run_two(race, catalog.root, [1, 2])
    assert sorted(outcomes.values()) == ["VersionConflictError", "won"]
    winner = next(seed for seed, outcome in outcomes.items() if outcome == "won")
    assert catalog.version("user_embedding", 1).manifest.metrics == {"seed": winner}
    stored = catalog.transform("user_embedding", 1)
    np.testing.assert_array_equal(stored.weight, affine(1, 4, 3, seed=winner).weight)
    assert problems(catalog) == {}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_racing_activations_are_both_recorded(local):
    assert run_two(activate_at, local.root, [1, 2]) == {1: "won", 2: "won"}
    assert [len(v.activations) for v in local.versions("user_embedding")] == [0, 1, 1]
    assert problems(local) == {}


def test_a_killed_publish_leaves_the_catalog_as_it_was(tmp_path):
    """The process dies after the tensors are written, before the manifest is."""
    catalog = EmbeddingCatalog(tmp_path / "catalog")
    publish(catalog, 0)
    before = catalog.published("user_embedding")
    code = (
        "import os, sys\n"
        "from feast_bc.catalog_files import CatalogFiles\n"
        "from feast_bc.catalog import EmbeddingCatalog\n"
        "from tests.test_catalog import publish\n"
        "CatalogFiles.create = lambda *_: os._exit(9)\n"
        "publish(EmbeddingCatalog(sys.argv[1]), 1)\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, catalog.root],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == 9
    assert tensor_file(catalog, 1).exists()
    assert catalog.published("user_embedding") == before
    assert problems(catalog) == {}
    publish(catalog, 1)
    assert len(catalog.versions("user_embedding")) == 2


def test_a_failed_write_leaves_no_debris(local, monkeypatch):
    before = files_of(local)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("feast_bc.catalog_files.os.link", fail)
    with pytest.raises(CatalogError, match="disk full"):
        local.activate("user_embedding", 1, T0)
    assert files_of(local) == before


# --- the event log --------------------------------------------------------------------------


@given(
    script=st.lists(
        st.tuples(
            st.sampled_from([ACTIVATE, ROLLBACK, RETIRE]), st.integers(1, 3), st.integers(0, 5)
        ),
        max_size=15,
    )
)
@settings(max_examples=300)
def test_folding_against_a_brute_force_oracle(script):
    """The oracle keeps plain lists; events that it deems impossible must be refused."""
    accepted: list[Event] = []
    intervals: dict[int, list[list[int | None]]] = {1: [], 2: [], 3: []}
    retired = set()
    for kind, version, hour in script:
        mine = intervals[version]
        is_open = bool(mine) and mine[-1][1] is None
        possible = {
            ACTIVATE: not is_open,
            ROLLBACK: is_open and hour >= (mine[-1][0] or 0),
            RETIRE: True,
        }[kind]
        at = None if kind == RETIRE else T0 + timedelta(hours=hour)
        event = Event(kind, version, at)
        if not possible:
            with pytest.raises(CatalogError, match=f"event {len(accepted) + 1} of"):
                fold([*accepted, event])
            continue
        accepted.append(event)
        if kind == ACTIVATE:
            mine.append([hour, None])
        elif kind == ROLLBACK:
            mine[-1][1] = hour
        else:
            retired.add(version)
    state = fold(accepted)
    assert state.retired == retired
    for version, expected in intervals.items():
        found = [
            [
                None if t is None else (t - T0) // timedelta(hours=1)
                for t in (a.active_from, a.active_until)
            ]
            for a in state.activations.get(version, ())
        ]
        assert found == expected
    still_open = [v for v, mine in intervals.items() if mine and mine[-1][1] is None]
    assert state.newest_active() == max(still_open, default=None)


# --- light imports --------------------------------------------------------------------------


def test_serving_modules_import_without_torch():
    """Feast takes torch if it is there; neither it nor we need it."""
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(\"No module named 'torch'\", name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import feast_bc, feast_bc.catalog, feast_bc.cli, feast_bc.publish\n"
        "import numpy as np\n"
        "link = feast_bc.AffineTransform([[1.0]], from_version=1, to_version=0)\n"
        "link.apply(np.ones((1, 1)))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
