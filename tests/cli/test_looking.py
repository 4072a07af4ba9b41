"""What `feast-bc show`, `plan` and `verify --sources` tell; none changes anything."""

from __future__ import annotations

import pandas as pd

from tests.support.catalogs import files_of
from tests.support.team import START, Team


def test_show_tells_what_the_catalog_has(team: Team) -> None:
    team.publish_all()
    team.run("activate", "users", "1", "--from", START)
    team.save_corrected()
    team.run("relink", "users", "1", "--transform", str(team.folder / "corrected"))
    told = team.run("show", "users", "1").stdout
    for words in (
        "users version 1",
        "dimensions          4",
        "affine, 1 -> 0, 4 -> 3 dimensions, relinked since",
        f"serves older views  from {START}",
        "view                users_v1",
        f"as of {START}",
        "1 -> 0",
    ):
        assert words in told
    assert "users version 0" in team.run("show", "users").stdout
    shown, code = team.json("show", "users")
    assert (code, [each["version"] for each in shown["versions"]]) == (0, [0, 1, 2])
    refused = team.run("show", "users", "7")
    assert (refused.exit_code, "has no version 7" in refused.stderr) == (1, True)


def test_the_plan_of_an_activation(team: Team) -> None:
    team.publish_all()
    team.run("activate", "users", "1", "--from", START)
    before = files_of(team.catalog)
    planned, code = team.json("plan", "users", "2")
    assert code == 0
    assert [(v["view"], v["before"], v["after"]) for v in planned["views"]] == [
        ("users_v0", [1, 0], [2, 1, 0]),
        ("users_v1", [1], [2, 1]),
        ("users_v2", [2], [2]),
    ]
    told = team.run("plan", "users", "2", "--at", "2026-03-01T00:00:00Z")
    assert "users_v0  v1, else v0    v2, else v1, else v0" in told.stdout
    assert "users_v2  v2             the same" in told.stdout
    assert "2 -> 0" in told.stdout  # the alignment that the gate will judge
    assert "Next: feast-bc activate users 2 --from 2026-03-01T00:00:00+00:00." in told.stdout
    assert files_of(team.catalog) == before


def test_the_plan_of_a_rollback_names_consumers(team: Team) -> None:
    repo = str(team.apply())
    told = team.run("plan", "users", "2", "--rollback", "--repo", repo).stdout
    assert "users_v0  v2, else v1, else v0  v1, else v0     churn_model, ranking_model" in told
    assert "users_v2  v2                    the same        -" in told
    assert "Next: feast-bc rollback users --version 2." in told


def test_what_cannot_follow_is_said_beforehand(team: Team) -> None:
    team.publish_all()
    refused = team.run("plan", "users", "2", "--rollback")
    assert refused.exit_code == 1
    assert "users version 2 is not active: nothing to roll back" in refused.stderr


def test_verify_tells_what_a_run_would_refuse_of_a_source(team: Team) -> None:
    team.publish_all()
    assert "source held         200 rows up to 2026-01-01" in team.run("show", "users", "1").stdout
    fine = team.run("verify", "--sources")
    assert (fine.exit_code, "ok   users: version 2: source" in fine.stdout) == (0, True)
    (team.folder / "v1.parquet").unlink()
    frame = pd.read_parquet(team.folder / "v2.parquet")
    frame.iloc[:20].to_parquet(team.folder / "v2.parquet")
    assert team.run("verify").exit_code == 0
    found, code = team.json("verify", "users", "--sources")
    bad = {c["subject"]: c["problem"] for c in found["checks"] if c["problem"]}
    assert code == 1
    assert list(bad) == ["users: version 1: source", "users: version 2: source"]
    assert "cannot be read" in bad["users: version 1: source"]
    assert "it has 20 rows, had 200" in bad["users: version 2: source"]
    noted = team.publish(2, "--allow-shrink", "1")
    assert "what its source holds now is noted" in noted.stdout
    assert "Next: feast apply, then feast materialize" in noted.stdout
    assert "ok   users: version 2: source" in team.run("verify", "--sources").stdout


def test_a_note_stands_in_the_event_of_a_publication(team: Team) -> None:
    for note in ("", "x" * 1001, "\x1b[2Jgone"):
        refused = team.run("publish", "users", "0", "--vectors", "missing", "--note", note)
        assert (refused.exit_code, "The note has" in refused.stderr) == (1, True)
    assert team.catalog.embeddings() == []
    team.publish(0, "--note", "Trained on January.\nRun 17.")
    assert team.catalog.version("users", 0).events[0].note == "Trained on January.\nRun 17."
    told = team.run("show", "users", "0").stdout
    assert "Trained on January." in told
    assert "Run 17." in told
    again = team.publish(0, "--note", "Another.")
    assert "nothing changed. The --note was not kept" in again.stdout
    assert "Another" not in team.run("show", "users", "0").stdout


def test_show_tells_where_a_version_was_made(team: Team) -> None:
    run, model = "https://mlflow.example.com/#/experiments/1/runs/ab12", "models:/encoder/3"
    assert team.publish(0, "--run-url", run, "--model-uri", model).exit_code == 0
    told = team.run("show", "users", "0").stdout
    assert f"run                 {run}" in told
    assert f"model               {model}" in told
    shown, _ = team.json("show", "users", "0")
    assert shown["versions"][0]["metrics"]["links"] == {"run": run, "model": model}
    # The same version, from another run's page: it is published already.
    again = team.publish(0, "--run-url", f"{run}3")
    assert (again.exit_code, "was published already" in again.stdout) == (0, True)
    for bad in ("ab12", "https://me:secret@host/run", "https://host/a b"):
        refused = team.publish(1, "--run-url", bad)
        assert (refused.exit_code, "is no address" in refused.stderr) == (2, True)
