"""Machine code is run as it is, so the cache hands out only what this service has written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hairtrigger.sandbox.service.guest_cache import GuestCache

pytestmark = pytest.mark.anyio


class Compiler:
    """Returns other code at each call, to show which call a code comes from."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> bytes:
        self.calls += 1
        return b"code %d" % self.calls


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "on the way"


@pytest.fixture
def cache(folder: Path) -> GuestCache:
    return GuestCache(folder, Compiler())


def file_in(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


async def test_what_was_compiled_once_is_not_compiled_again(cache: GuestCache, folder: Path) -> None:
    assert await cache.compiled() == b"code 1"
    assert await cache.compiled() == b"code 1"
    assert await GuestCache(folder, Compiler()).compiled() == b"code 1"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file_in(folder).stat().st_mode & 0o777 == 0o600


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def changed(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1] + b"x")


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def writable_by_others(file: Path) -> None:
    file.chmod(0o602)


def writable_by_the_group(file: Path) -> None:
    file.chmod(0o620)


def a_link(file: Path) -> None:
    file.rename(file.parents[1] / "elsewhere")
    file.symlink_to(file.parents[1] / "elsewhere")


def in_a_folder_of_all(file: Path) -> None:
    file.parent.chmod(0o777)


def of_another_user(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(file, 65534, -1)


@pytest.mark.parametrize(
    "done",
    [cut, changed, emptied, writable_by_others, writable_by_the_group, a_link, in_a_folder_of_all, of_another_user],
)
async def test_code_that_others_may_have_written_or_that_is_damaged_is_compiled_anew(
    cache: GuestCache, folder: Path, done: Callable[[Path], None]
) -> None:
    await cache.compiled()
    done(file_in(folder))

    assert await cache.compiled() == b"code 2"


async def test_the_code_of_another_version_goes(cache: GuestCache, folder: Path) -> None:
    await cache.compiled()
    file = file_in(folder)
    file.rename(folder / "guest-0123.bin")

    assert await cache.compiled() == b"code 2"
    assert file_in(folder) == file


async def test_without_a_folder_the_guest_is_compiled_at_each_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = GuestCache(tmp_path / "file" / "folder", Compiler())

    assert [await cache.compiled(), await cache.compiled()] == [b"code 1", b"code 2"]
