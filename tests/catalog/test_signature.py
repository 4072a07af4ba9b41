"""Signatures say who stands for a version; nothing unsigned gets past who asks for one."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.signature import (
    check_chain_signed,
    read_private_key,
    read_public_key,
    required_keys,
    sign,
)
from feast_bc.contracts.activation import activate_version
from feast_bc.errors import ArtifactError, SignatureError, UnknownVersionError
from feast_bc.native.contents import Contents
from feast_bc.publishing.refusal import CHECKS
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.catalogs import T0, problems, publish
from tests.support.families import USER
from tests.support.links import affine
from tests.support.signatures import pem_pair

KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()


def sign_all(catalog: EmbeddingCatalog, key: Ed25519PrivateKey = KEY) -> list[str]:
    shelf = catalog.shelf("user_embedding")
    return [path for k in range(len(shelf.versions)) for path in sign(shelf, catalog.files, k, key)]


def check(catalog: EmbeddingCatalog, key: Ed25519PrivateKey = KEY, version: int = 2) -> None:
    shelf = catalog.shelf("user_embedding")
    check_chain_signed(shelf, catalog.files, version, [key.public_key()])


def test_signed_versions_pass_and_signing_again_writes_nothing(local: EmbeddingCatalog) -> None:
    with pytest.raises(SignatureError, match=r"version 2: .*000003.json is not signed"):
        check(local)
    written = sign_all(local)
    assert [path.rpartition("/")[2][:11] for path in written] == [
        "000001.json",
        "000002.json",
        "000003.json",
    ]
    check(local)
    assert sign_all(local) == []
    assert not problems(local)
    notes = [c.note for c in local.verify(signed_by=[KEY.public_key()]) if c.note or c.problem]
    assert notes == []  # a signature is not left over


def test_openssl_checks_the_same_signature(local: EmbeddingCatalog, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("this machine has no openssl")
    private, public = pem_pair(tmp_path)
    [signature, *_] = sign_all(local, read_private_key(private))
    command = [openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(public)]
    signed = Path(local.root, signature.rpartition(".json")[0] + ".json")
    files = ["-in", str(signed), "-sigfile", str(Path(local.root, signature))]
    assert subprocess.run([*command, *files], check=False, capture_output=True).returncode == 0


def test_versions_of_older_releases_are_signed_by_their_manifest(old: EmbeddingCatalog) -> None:
    assert [path.partition(".json")[0] for path in sign_all(old)] == [
        f"user_embedding/v{k}/manifest" for k in range(3)
    ]
    check(old)
    assert not [c.note for c in old.verify() if c.note]


def test_another_key_does_not_count_but_may_sign_as_well(local: EmbeddingCatalog) -> None:
    sign_all(local, OTHER)
    with pytest.raises(SignatureError, match="not signed by a trusted key"):
        check(local)
    sign_all(local)
    check(local)
    check(local, OTHER)


def test_a_forged_signature(local: EmbeddingCatalog) -> None:
    [first, *_] = sign_all(local)
    path = Path(local.root, first)
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(SignatureError, match=r"000001\.json is not signed"):
        check(local)
    path.write_bytes(b"short")
    [bad] = [c for c in local.verify(signed_by=[KEY.public_key()]) if c.problem]
    assert bad.subject == "user_embedding: version 0: signature"


def test_a_recount_has_to_be_signed_too(local: EmbeddingCatalog) -> None:
    sign_all(local)
    contents = Contents(rows=1, newest=T0, key_kinds=("integers",), sample=())
    change = local.recount("user_embedding", 1, contents)
    assert change.changed
    assert change.published.contents == contents
    with pytest.raises(SignatureError, match=r"version 1: .*000004.json is not signed"):
        check(local)
    sign_all(local)
    check(local)


def test_a_relink_has_to_be_signed_too(local: EmbeddingCatalog) -> None:
    sign_all(local)
    local.relink("user_embedding", 1, affine(1, 4, 3, seed=9))
    with pytest.raises(SignatureError, match=r"version 1: .*000004.json is not signed"):
        check(local)
    assert len(sign_all(local)) == 1
    check(local)


def test_a_version_that_takes_the_number_of_a_withdrawn_one(local: EmbeddingCatalog) -> None:
    sign_all(local)
    local.withdraw("user_embedding", 2)
    publish(local, 2, transform=affine(2, 5, 4, seed=5))
    check(local, version=1)
    with pytest.raises(SignatureError, match="version 2: "):
        check(local)


def test_a_file_that_is_exchanged_while_it_is_looked_at(local: EmbeddingCatalog) -> None:
    shelf = local.shelf("user_embedding")
    event = Path(local.root, "user_embedding/events/000001.json")
    event.write_text(json.dumps({**json.loads(event.read_text()), "forced": True}))
    with pytest.raises(ArtifactError, match="was changed or deleted"):
        sign(shelf, local.files, 0, KEY)
    with pytest.raises(UnknownVersionError):
        sign(shelf, local.files, 3, KEY)


def test_activation_asks_for_the_whole_chain(local: EmbeddingCatalog) -> None:
    shelf = local.shelf("user_embedding")
    for k in (1, 2):
        sign(shelf, local.files, k, KEY)
    keys = [KEY.public_key()]
    with pytest.raises(SignatureError, match="version 0: "):
        activate_version(local, "user_embedding", 2, force=CHECKS, signed_by=keys)
    assert not local.version("user_embedding", 2).activations
    sign(shelf, local.files, 0, KEY)
    assert activate_version(local, "user_embedding", 2, force=CHECKS, signed_by=keys).changed


def test_definitions_ask_where_the_environment_does(
    local: EmbeddingCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = pem_pair(tmp_path)
    monkeypatch.setenv("FEAST_BC_REQUIRE_SIGNATURE", f"{public}")
    with pytest.raises(SignatureError, match="is not signed"):
        VersionedEmbedding.from_catalog(local, "user_embedding", entities=[USER])
    sign_all(local, read_private_key(private))
    assert len(required_keys()) == 1
    VersionedEmbedding.from_catalog(local, "user_embedding", entities=[USER])


def pem(key: object, encryption: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)  # type: ignore[attr-defined,no-any-return]


def test_keys_that_cannot_be_used(tmp_path: Path) -> None:
    rsa = generate_private_key(65537, 2048)
    for number, data in enumerate(
        (b"no key", pem(rsa, NoEncryption()), pem(KEY, BestAvailableEncryption(b"secret")))
    ):
        path = tmp_path / f"{number}.pem"
        path.write_bytes(data)
        with pytest.raises(
            SignatureError, match=r"expected an Ed25519 private key in PEM.* `openssl"
        ):
            read_private_key(path)
    with pytest.raises(SignatureError, match="cannot be read"):
        read_public_key(tmp_path / "missing.pub")
    public = tmp_path / "rsa.pub"
    encoding = PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(rsa.public_key().public_bytes(Encoding.PEM, encoding))
    with pytest.raises(SignatureError, match="expected an Ed25519 public key"):
        read_public_key(public)
