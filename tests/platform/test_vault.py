import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from hairtrigger.platform.vault import Vault, VaultError, new_secret, new_signing_secret


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys.json"


def test_what_was_sealed_opens_again_after_a_restart(path: Path) -> None:
    sealed = Vault.open(path).seal(b"sk_live_1", "connection:1")

    assert Vault.open(path).unseal(sealed, "connection:1") == b"sk_live_1"
    assert b"sk_live_1" not in sealed


def test_a_secret_moved_to_another_row_does_not_open(path: Path) -> None:
    vault = Vault.open(path)
    sealed = vault.seal(b"sk_live_1", "connection:1")

    with pytest.raises(VaultError):
        vault.unseal(sealed, "connection:2")


@given(garbage=st.binary(max_size=100))
def test_garbage_does_not_open(garbage: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    vault = Vault.open(tmp_path_factory.getbasetemp() / "keys.json")

    with pytest.raises(VaultError):
        vault.unseal(garbage, "connection:1")


@given(at=st.integers(0, 33), bit=st.integers(0, 7))
def test_a_changed_bit_does_not_open(at: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    vault = Vault.open(tmp_path_factory.getbasetemp() / "keys.json")
    changed = bytearray(vault.seal(b"x", "row"))
    changed[at] ^= 1 << bit

    with pytest.raises(VaultError):
        vault.unseal(bytes(changed), "row")


def test_another_installation_can_not_open_it(tmp_path: Path) -> None:
    sealed = Vault.open(tmp_path / "a.json").seal(b"x", "row")

    with pytest.raises(VaultError):
        Vault.open(tmp_path / "b.json").unseal(sealed, "row")


def test_sealing_twice_gives_different_bytes(path: Path) -> None:
    vault = Vault.open(path)

    assert vault.seal(b"x", "row") != vault.seal(b"x", "row")


def test_the_key_file_is_its_owners_alone(path: Path) -> None:
    vault = Vault.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    vault.rotate()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_after_a_rotation_new_secrets_use_the_new_key_and_old_ones_still_open(path: Path) -> None:
    vault = Vault.open(path)
    before = vault.seal(b"old", "row")

    vault.rotate()

    after = vault.seal(b"new", "row")
    assert before[:5] != after[:5]  # these bytes are the id of the key
    assert [vault.unseal(before, "row"), vault.unseal(after, "row")] == [b"old", b"new"]
    assert Vault.open(path).unseal(before, "row") == b"old"


def test_a_running_process_opens_what_was_sealed_after_another_rotated(path: Path) -> None:
    running, other = Vault.open(path), Vault.open(path)

    other.rotate()

    assert running.unseal(other.seal(b"x", "row"), "row") == b"x"


def test_processes_that_start_and_rotate_at_once_lose_no_key(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hairtrigger.platform.vault import Vault; "
        "vault = Vault.open(Path(sys.argv[1])); vault.rotate(); print(vault.seal(b'x', 'row').hex())"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    sealed = [child.communicate()[0].strip() for child in children]

    vault = Vault.open(path)
    assert [vault.unseal(bytes.fromhex(each), "row") for each in sealed] == [b"x"] * 4
    assert len(json.loads(path.read_bytes())["sealing"]["key"]) == 5


def test_derived_keys_are_stable_and_unlike_each_other(path: Path) -> None:
    vault = Vault.open(path)
    tokens = vault.derive("access-tokens")

    vault.rotate()

    assert len(tokens) == 32
    assert Vault.open(path).derive("access-tokens") == tokens
    assert vault.derive("cursors") != tokens


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "not json", '{"sealing": {}, "deriving": {}}'])
def test_a_broken_key_file_is_refused_and_kept(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)

    with pytest.raises(VaultError, match="is not a key file"):
        Vault.open(path)

    assert path.read_text() == content


def test_neither_reprs_nor_errors_show_keys(path: Path) -> None:
    vault = Vault.open(path)
    material = [key["keyData"]["value"] for keyset in json.loads(path.read_bytes()).values() for key in keyset["key"]]

    with pytest.raises(VaultError) as failed:
        vault.unseal(b"garbage", "row")

    for shown in (repr(vault), str(vault), repr(failed.value), str(failed.value)):
        assert not any(key in shown for key in material)


def test_new_secrets_are_prefixed_and_never_repeat() -> None:
    made = {new_secret("ht_") for _ in range(100)}

    assert len(made) == 100
    assert all(each.startswith("ht_") and len(each) == 46 for each in made)


def test_a_signing_secret_is_one_that_standard_webhooks_takes() -> None:
    secret = new_signing_secret()

    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    Webhook(secret)


def test_the_command_adds_a_key_and_what_older_keys_sealed_still_opens(path: Path) -> None:
    running = Vault.open(path)
    before = running.seal(b"old", "row")

    said = command("rotate", str(path))

    assert (said.returncode, said.stderr) == (0, "")
    assert "has a new key" in said.stdout
    rotated = Vault.open(path)
    assert rotated.unseal(before, "row") == b"old"
    after = rotated.seal(b"new", "row")
    assert before[:5] != after[:5]  # the id of the key
    assert running.unseal(after, "row") == b"new"


def test_the_command_makes_no_key_file_where_there_is_none(path: Path) -> None:
    said = command("rotate", str(path))

    assert said.returncode == 1
    assert f"There is no key file at {path}" in said.stderr
    assert not path.exists()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = (sys.executable, "-c", "from hairtrigger.cli import main; main()", "vault", *arguments)
    return subprocess.run(program, capture_output=True, text=True, check=False, env={"COLUMNS": "300", **os.environ})
