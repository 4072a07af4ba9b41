"""The release job signs what it publishes; activation asks for it."""

from pathlib import Path

from tests.support.signatures import pem_pair
from tests.support.team import Team


def test_a_release_with_signatures(team: Team, tmp_path: Path) -> None:
    private, public = map(str, pem_pair(tmp_path))
    team.publish(0)
    told = team.publish(1, "--sign", private)
    assert told.exit_code == 0
    assert "Signed: users/events/000002.json." in told.output

    refused = team.run("activate", "users", "1", "--require-signature", public)
    assert refused.exit_code == 1
    assert "users version 0" in refused.output
    assert "feast-bc sign users 0 --key KEY" in refused.output
    verified = team.run("verify", FEAST_BC_REQUIRE_SIGNATURE=public)
    assert verified.exit_code == 1
    assert "BAD  users: version 0: signature" in verified.output

    signed, code = team.json("sign", "users", "0", "--key", private)
    assert (len(signed["signed"]), signed["changed"], code) == (1, True, 0)
    assert "nothing changed" in team.run("sign", "users", "0", "--key", private).output
    assert team.run("verify", FEAST_BC_REQUIRE_SIGNATURE=public).exit_code == 0
    assert team.run("activate", "users", "1", FEAST_BC_REQUIRE_SIGNATURE=public).exit_code == 0

    link = ["--transform", str(team.folder / "b1"), "--sign", private]
    assert team.run("relink", "users", "1", *link).exit_code == 0


def test_a_key_that_cannot_be_used_publishes_nothing(team: Team, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("no key")
    told = team.publish(0, "--sign", str(key))
    assert told.exit_code == 1
    assert "expected an Ed25519 private key" in told.output
    assert team.catalog.embeddings() == []
