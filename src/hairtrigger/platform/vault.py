"""Encrypt secrets at rest. The keys are in a file outside the database, so that a stolen dump of it is useless."""

import base64
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import tink
from tink import aead, json_proto_keyset_format, prf, secret_key_access

from hairtrigger.domain.errors import HairtriggerError


class VaultError(HairtriggerError):
    """This secret can't be opened: it was changed or moved, or its key is not in the key file."""


class Vault:
    """Seals and opens secrets with AES-256-GCM. A secret opens only with the `bound_to` that it was sealed with.

    `bound_to` names the secret's row, so that a sealed secret is useless in another row. `unseal` raises `VaultError`
    for a secret that can't be opened.

    The key file is JSON with two Tink keysets: `sealing` (its primary key seals, and all its keys open) and `deriving`
    (one HKDF key, which is never rotated). If the file is lost, all secrets are lost. So back it up, and keep the copy
    apart from the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the vault with the key file at `path`. A missing file is created, readable by its owner only.

        Raises `VaultError` if the file is not a key file.
        """
        aead.register()
        prf.register()
        if not path.exists():
            _create(path)
        return cls(path)

    def seal(self, plain: bytes, bound_to: str) -> bytes:
        sealed: bytes = self._sealing.encrypt(plain, bound_to.encode())
        return sealed

    def unseal(self, sealed: bytes, bound_to: str) -> bytes:
        try:
            return self._opened(sealed, bound_to)
        except VaultError:
            if not self._changed():
                raise
        self._read()
        return self._opened(sealed, bound_to)

    def rotate(self) -> None:
        """Add a key to the key file, which seals from now on. Older keys still open what they sealed.

        Other processes read the file again when they are to open a secret that the new key sealed.
        """
        with _exclusive(self._path.parent):
            keysets = _keysets(self._path)
            keysets["sealing"] = _with_new_primary(keysets["sealing"])
            _write(keysets, self._path)
        self._read()

    def derive(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for one purpose. It stays the same after restarts and rotations of the key file.

        From the key for one purpose, the key for another one can't be computed.
        """
        derived: bytes = self._deriving.primary().compute(purpose.encode(), 32)
        return derived

    def _opened(self, sealed: bytes, bound_to: str) -> bytes:
        try:
            plain: bytes = self._sealing.decrypt(sealed, bound_to.encode())
        except tink.TinkError:
            raise VaultError from None
        return plain

    def _read(self) -> None:
        self._version = _version(self._path)
        keysets = _keysets(self._path)
        try:
            self._sealing = _parsed(keysets["sealing"]).primitive(aead.Aead)
            self._deriving = _parsed(keysets["deriving"]).primitive(prf.PrfSet)
        except (KeyError, TypeError, tink.TinkError):
            raise VaultError(f"{self._path} is not a key file.") from None

    def _changed(self) -> bool:
        """Return whether the key file was replaced since this object read it, as a rotation does."""
        return self._path.exists() and _version(self._path) != self._version


def new_secret(prefix: str = "", size: int = 32) -> str:
    """Return a new secret: `size` random bytes as URL-safe text, after a prefix that secret scanners recognise."""
    return prefix + secrets.token_urlsafe(size)


def new_signing_secret() -> str:
    """Return a new signing secret in the form of Standard Webhooks: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(path.parent):
        if not path.exists():  # another process may have been first
            keysets = {
                "sealing": _generated(aead.aead_key_templates.AES256_GCM),
                "deriving": _generated(prf.prf_key_templates.HKDF_SHA256),
            }
            _write(keysets, path)


def _with_new_primary(keyset: dict[str, Any]) -> dict[str, Any]:
    new = _generated(aead.aead_key_templates.AES256_GCM)
    if new["primaryKeyId"] in {key["keyId"] for key in keyset["key"]}:
        return _with_new_primary(keyset)
    return {"primaryKeyId": new["primaryKeyId"], "key": [*new["key"], *keyset["key"]]}


def _generated(template: Any) -> dict[str, Any]:
    handle = tink.new_keyset_handle(template)
    keyset: dict[str, Any] = json.loads(json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN))
    return keyset


def _parsed(keyset: dict[str, Any]) -> Any:
    return json_proto_keyset_format.parse(json.dumps(keyset), secret_key_access.TOKEN)


def _keysets(path: Path) -> dict[str, Any]:
    try:
        keysets: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError:
        raise VaultError(f"{path} is not a key file.") from None
    return keysets


def _write(keysets: dict[str, Any], path: Path) -> None:
    """Write the key file in one step, so that a crash leaves a whole file: the old one or the new one.

    `mkstemp` makes it readable by its owner only.
    """
    handle, name = tempfile.mkstemp(prefix=".keys-", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        json.dump(keysets, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Let only one process at a time write in the folder, until the block ends.

    Two rotations at once would lose a key, and with it all secrets that it sealed.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)
