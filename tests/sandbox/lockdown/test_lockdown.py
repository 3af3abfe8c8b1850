"""The walls around a sandbox worker: each alone, all together, and the reports about a wall that is missing."""

import errno
import mmap
import sys
from pathlib import Path
from typing import Any

import pytest

from hairtrigger.sandbox.lockdown import seccomp
from hairtrigger.sandbox.lockdown.libc import ARCHITECTURES, NUMBERS
from hairtrigger.sandbox.protocol.walls import Walls
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.inside import inside, is_root

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="Linux has these walls.")]
as_root = pytest.mark.skipif(not is_root(), reason="Only root has privileges to give up.")
A_USER = 12345

LOCKED = "walls = lockdown.complete(lockdown.enclose([out]))\n"

# Each attack would have an effect if it were allowed. System calls have two numbers: x86-64's and aarch64's.
ATTACKS = {
    "read a file": "os.open('/etc/passwd', os.O_RDONLY)",
    "write a file": "os.open('/tmp/written', os.O_CREAT | os.O_WRONLY)",
    "list a folder": "os.listdir('/')",
    "read /proc": "os.open('/proc/self/environ', os.O_RDONLY)",
    "write its own memory through /proc": "os.open('/proc/self/mem', os.O_RDWR)",
    "read the service's memory through /proc": "os.open(f'/proc/{parent}/mem', os.O_RDONLY)",
    "read the service's memory": "raw((310, 270), parent, None, 0, None, 0, 0)",
    "write the service's memory": "raw((311, 271), parent, None, 0, None, 0, 0)",
    "open by openat2": "raw((437, 437), -100, b'/', ctypes.byref((ctypes.c_uint64 * 3)()), 24)",
    "open by handle": "raw((304, 265), -100, None, 0)",
    "look at a file": "os.stat('/etc/passwd')",
    "make a link": "os.symlink('/', '/tmp/link')",
    "remove a file": "os.unlink('/tmp/nothing')",
    "change the root": "os.chroot('/')",
    "mount": "raw((165, 40), b'none', b'/tmp', b'tmpfs', 0, None)",
    "make a socket": "socket.socket()",
    "make a socket for names": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "make a Unix socket": "socket.socket(socket.AF_UNIX)",
    "make a raw socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "make a pair of sockets": "socket.socketpair()",
    "make a pipe": "os.pipe()",
    "connect": "raw((42, 203), 0, None, 0)",
    "bind": "raw((49, 200), 0, None, 0)",
    "receive a descriptor": "raw((47, 212), 0, None, 0)",
    "send a descriptor": "raw((46, 211), 0, None, 0)",
    "fork": "os.fork()",
    "clone": "raw((56, 220), 17, 0, 0, 0, 0)",
    "clone3": "raw((435, 435), ctypes.byref((ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)), 88)",
    "run a program": "os.execv('/bin/true', ['true'])",
    "run a program by descriptor": "raw((322, 281), 0, b'', None, None, 0x1000)",
    "make a file in memory": "raw((319, 279), b'x', 0)",
    "map executable memory": "raw((9, 222), 0, 4096, 7, 0x22, -1, 0)",
    "make memory executable": "raw((10, 226), page, 4096, 5)",
    "make memory executable with a key": "raw((329, 288), page, 4096, 5, -1)",
    "map shared segments": "raw((30, 196), 0, 0, 0o100000)",
    "change its personality": "raw((135, 92), 0x0400000)",
    "trace": "raw((101, 117), 16, parent, 0, 0)",
    "kill": "os.kill(parent, 0)",
    "kill a thread": "raw((234, 131), parent, parent, 0)",
    "queue a signal": "raw((129, 138), parent, 0, None)",
    "open a process": "raw((434, 434), parent, 0)",
    "take a descriptor": "raw((438, 438), 0, 0, 0)",
    "become root": "raw((105, 146), 0)",
    "become a group": "raw((106, 144), 0)",
    "have new capabilities": "privileges.drop_capabilities()",
    "control its process": "raw((157, 167), 4, 1, 0, 0, 0)",
    "have higher limits": "raw((302, 261), 0, 7, ctypes.byref((ctypes.c_uint64 * 2)(9999, 9999)), None)",
    "enter a namespace": "raw((308, 268), 0, 0)",
    "make a namespace": "raw((272, 97), 0x10000000)",
    "load a BPF program": "raw((321, 280), 0, None, 0)",
    "use io_uring": "raw((425, 425), 1, ctypes.byref((ctypes.c_uint8 * 120)()))",
    "handle page faults": "raw((323, 282), 1)",
    "count performance": "raw((298, 241), None, 0, -1, -1, 0)",
    "use the kernel's keys": "raw((250, 219), 0, -3, 0)",
    "change the filter": "raw((317, 277), 1, 0, None)",
    "load a kernel module": "raw((175, 105), None, 0, b'')",
    "restart the machine": "raw((169, 142), 0, 0, 0, None)",
    "set the clock": "raw((227, 112), 0, None)",
    "truncate": "raw((77, 46), out, 0)",
    "control a device": "raw((16, 29), out, 0x5421, None)",
    "copy a descriptor": "os.dup(out)",
    "watch files": "raw((294, 26), 0)",
    "make a message queue": "raw((68, 186), 0, 0)",
}


@pytest.fixture(scope="module", params=[None, A_USER], ids=["by root", "by a user"])
def refusals(request: pytest.FixtureRequest) -> Any:
    if request.param and not is_root():
        pytest.skip("Only root can become another user.")
    attempts = "".join(f"found[{name!r}] = told(lambda: {attack})\n" for name, attack in ATTACKS.items())
    script = f"parent, page, found = os.getppid(), raw((9, 222), 0, 4096, 3, 0x22, -1, 0), {{}}\n{LOCKED}{attempts}"
    return inside(script + "tell(found)", uid=request.param)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_locked_worker_is_refused_to(refusals: dict[str, str], attack: str) -> None:
    assert refusals[attack] == "EPERM"


def test_none_of_the_attacks_is_refused_by_the_machine_itself() -> None:
    """If it refused them, the test above would show nothing."""
    harmless = ["read a file", "list a folder", "make a socket", "fork", "map executable memory", "make a pipe"]
    child = "(lambda pid: os._exit(0) if pid == 0 else os.waitpid(pid, 0))"
    attempts = [ATTACKS[name].replace("os.fork()", f"{child}(os.fork())") for name in harmless]

    assert inside(f"tell([{', '.join(f'told(lambda: {attempt})' for attempt in attempts)}])") == ["allowed"] * 6


def found_walls(script: str, uid: int | None = None) -> Walls:
    found: dict[str, Any] = inside(script + LOCKED + "import dataclasses\ntell(dataclasses.asdict(walls))", uid=uid)
    return Walls.of(found)


@as_root
def test_root_raises_every_wall_that_this_kernel_has() -> None:
    walls = found_walls("")

    assert (walls.seccomp, walls.limits, walls.uid, walls.tested) == (True, True, 65534, True)
    assert walls.landlock == landlock_version()
    assert walls.namespaces == tuple(inside("tell(namespaces.separate())"))
    assert walls.empty_root == bool(walls.namespaces)
    assert walls.missing is None


@as_root
@pytest.mark.parametrize("uid", [None, A_USER])
def test_a_worker_has_given_up_what_it_was_before_it_loads_the_guest(uid: int | None) -> None:
    found = inside(
        """
if os.getuid() == 0:
    os.setgroups([4, 5])
raw((157, 167), 4, 1, 0, 0, 0)  # dumpable, as no process is that has changed its user
lockdown.enclose([out])
header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
raw((125, 90), ctypes.byref(header), ctypes.byref(sets))
death = ctypes.c_int()
raw((157, 167), 2, ctypes.byref(death), 0, 0, 0)
dumpable, privileges_stay = (raw((157, 167), what, 0, 0, 0, 0) for what in (3, 39))
tell([list(sets), death.value, dumpable, privileges_stay, os.getgroups()])
""",
        uid=uid,
    )

    assert found == [[0] * 6, 9, 0, 1, []]


@as_root
def test_a_user_without_privileges_is_locked_in_too() -> None:
    walls = found_walls("", uid=A_USER)

    assert (walls.seccomp, walls.limits, walls.uid) == (True, True, A_USER)
    assert walls.missing is None


@as_root
def test_where_there_are_no_namespaces_and_no_landlock_the_other_walls_stand() -> None:
    refused = "forbid(unshare=errno.EPERM, landlock_create_ruleset=errno.ENOSYS)\n"
    for uid in (None, A_USER):
        walls = found_walls(refused, uid=uid)

        assert (walls.namespaces, walls.empty_root, walls.landlock) == ((), False, 0)
        assert walls.seccomp
        assert walls.missing is None


def test_without_seccomp_a_wall_is_missing() -> None:
    walls = found_walls("forbid(seccomp=errno.EINVAL)\n")

    assert not walls.seccomp
    assert walls.missing == "seccomp"


@pytest.mark.parametrize(
    ("call", "attempt"),
    {
        "socket": "make a socket",
        "connect": "connect",
        "clone": "start a process",
        "execve": "run a program",
        "ptrace": "read another process",
        "openat": "read /proc",
    }.items(),
)
def test_the_self_test_finds_a_hole_in_the_filter(call: str, attempt: str) -> None:
    unlisted = "forbid(landlock_create_ruleset=errno.ENOSYS)\n"  # Landlock would refuse some of these calls too
    walls = found_walls(f"{unlisted}seccomp.ALLOWED = (*seccomp.ALLOWED, {call!r})\n")

    assert attempt in walls.holes
    assert walls.missing is not None
    assert attempt in walls.missing


@pytest.mark.parametrize("call", ["mmap", "mprotect"])
def test_the_self_test_finds_executable_memory(call: str) -> None:
    hole = f"seccomp.ALLOWED = (*seccomp.ALLOWED, {call!r})\nprivileges.gain_no_executable_memory = lambda: None\n"

    assert found_walls(hole).missing is not None


# Each wall alone.


def landlock_version() -> int:
    return int(inside("try: tell(landlock.version())\nexcept OSError: tell(0)"))


@pytest.mark.skipif(landlock_version() < 6, reason="This kernel has no such Landlock.")
def test_landlock_alone_refuses_files_tcp_and_signals() -> None:
    found = inside("""
server = socket.create_server(("127.0.0.1", 0))
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\\0" + os.urandom(8).hex())
abstract.listen()
name = abstract.getsockname()
if (child := os.fork()) == 0:
    privileges.gain_no_privileges()
    landlock.allow_nothing()
    tell([
        told(lambda: os.open("/etc/passwd", os.O_RDONLY)),
        told(lambda: os.open("/tmp/written", os.O_CREAT | os.O_WRONLY)),
        told(lambda: os.execv("/bin/true", ["true"])),
        told(lambda: socket.create_connection(server.getsockname(), 5)),
        told(lambda: socket.create_server(("127.0.0.1", 0))),
        told(lambda: socket.socket(socket.AF_UNIX).connect(name)),
        told(lambda: os.kill(os.getppid(), 0)),
    ])
    os._exit(0)
os.waitpid(child, 0)
""")

    assert found == ["EACCES", "EACCES", "EACCES", "EACCES", "EACCES", "EPERM", "EPERM"]


def test_the_limits_alone_refuse_descriptors_bytes_and_processes() -> None:
    found = inside(
        """
import tempfile
file = tempfile.TemporaryFile()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if os.geteuid() == 0:
    os.setuid(12345)  # root may start as many as it likes
limits.limit_resources()
tell([
    told(lambda: os.write(file.fileno(), b"x")),
    told(lambda: [os.dup(0) for _ in range(64)]),
    told(os.fork),
    told(lambda: mmap.mmap(-1, 3 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)),
])
"""
    )

    assert found == ["EFBIG", "EMFILE", "EAGAIN", "ENOMEM"]


@as_root
def test_being_nobody_alone_refuses_what_is_roots() -> None:
    found = inside("""
privileges.bound_capabilities()
privileges.become_nobody()
privileges.drop_capabilities()
status = open("/proc/self/status").read()
tell([
    told(lambda: os.open("/etc/shadow", os.O_RDONLY)),
    told(lambda: os.setuid(0)),
    told(lambda: os.kill(1, 0)),
    told(lambda: os.chroot("/")),
    [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapBnd", "CapInh"))],
    os.getgroups(),
])
""")

    assert found == ["EACCES", "EPERM", "EPERM", "EPERM", ["0" * 16] * 4, []]


@as_root
def test_the_namespaces_alone_leave_no_network_and_no_file() -> None:
    found = inside("""
server = socket.create_server(("127.0.0.1", 0))
names = namespaces.separate()
emptied = names and namespaces.empty_the_root()
interfaces = [name for _, name in socket.if_nameindex()] if names else []
tell([emptied, interfaces, told(lambda: socket.create_connection(server.getsockname(), 5)),
      os.listdir("/"), told(lambda: os.mkdir("/folder")), told(lambda: os.open("/etc/passwd", os.O_RDONLY))])
""")
    if not found[0]:
        pytest.skip("This machine gives root no namespaces.")

    assert found == [True, ["lo"], "ENETUNREACH", [], "EROFS", "ENOENT"]


@as_root
def test_the_namespaces_of_a_user_leave_no_network_either() -> None:
    found = inside(
        """
server = socket.create_server(("127.0.0.1", 0))
names = namespaces.separate_as_a_user()
tell([list(names), told(lambda: socket.create_connection(server.getsockname(), 5)),
      bool(names) and namespaces.empty_the_root(), told(lambda: os.open("/etc/passwd", os.O_RDONLY))])
""",
        uid=A_USER,
    )
    if not found[0]:
        pytest.skip("This machine gives users no namespaces.")

    assert found[1:] == ["ENETUNREACH", True, "ENOENT"]


def test_memory_alone_gains_no_execution() -> None:
    found = inside("""
page = raw((9, 222), 0, 4096, 3, 0x22, -1, 0)
gained = told(privileges.gain_no_executable_memory)
tell([gained, told(lambda: raw((10, 226), page, 4096, 5)), told(lambda: raw((9, 222), 0, 4096, 7, 0x22, -1, 0))])
""")
    if found[0] != "allowed":
        pytest.skip("This kernel cannot.")

    assert found[1:] == ["EACCES", "EACCES"]


@as_root
def test_no_other_process_of_the_user_reads_its_memory() -> None:
    found = inside("""
os.setgid(12345); os.setuid(12345)
raw((157, 167), 4, 1, 0, 0, 0)  # dumpable again
ready, go = os.pipe(), os.pipe()
if (child := os.fork()) == 0:
    privileges.hide_memory()
    os.write(ready[1], b"x"); os.read(go[0], 1); os._exit(0)
os.read(ready[0], 1)
found = told(lambda: os.open(f"/proc/{child}/mem", os.O_RDONLY))
os.write(go[1], b"x"); os.waitpid(child, 0)
tell(found)
""")

    assert found == "EACCES"


def test_it_ends_with_its_parent() -> None:
    found = inside("""
ended, grandchild = os.pipe(), os.pipe()
if (child := os.fork()) == 0:
    if os.fork() == 0:
        privileges.end_with_parent()
        os.write(grandchild[1], b"x")
        os.close(grandchild[1])
        while True: signal.pause()
    os.read(grandchild[0], 1)
    os._exit(0)
os.waitpid(child, 0)
os.close(ended[1])
os.close(grandchild[1])
tell(os.read(ended[0], 1).decode())  # its end closes the last copy of the other side
""")

    assert found == ""


# Threads.


def test_a_thread_that_began_before_is_held_by_the_filter_but_not_called_held_by_landlock() -> None:
    found = inside(f"""
go, done, seen = threading.Event(), threading.Event(), []
def early():
    go.wait()
    seen.append(told(lambda: os.open("/etc/passwd", os.O_RDONLY)))
    done.set()
threading.Thread(target=early, daemon=True).start()
{LOCKED}
go.set(); done.wait()
tell([seen, walls.landlock])
""")

    assert found == [["EPERM"], 0]


# The filter of every machine, run by an interpreter of our own.


def answer(steps: list[seccomp.Step], number: int, audit: int, protection: int = 0) -> str:
    """Return what the kernel would do, by the rules of classic BPF."""
    data = {0: number, 4: audit, 32: protection}
    loaded = at = 0
    while True:
        step = steps[at]
        at += 1
        match step.code:
            case 0x20:
                loaded = data[step.value]
            case 0x15:
                at += step.if_true if loaded == step.value else step.if_false
            case 0x35:
                at += step.if_true if loaded >= step.value else step.if_false
            case 0x45:
                at += step.if_true if loaded & step.value else step.if_false
            case 0x06:
                return {0x7FFF_0000: "allow", 0x8000_0000: "kill", 0x0005_0000 | errno.EPERM: "refuse"}[step.value]
            case _:
                raise AssertionError(step)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_filter_allows_the_list_and_nothing_else(name: str) -> None:
    machine = ARCHITECTURES[name]
    steps = seccomp.program(machine)
    listed = {NUMBERS[call][machine.column] for call in (*seccomp.ALLOWED, *seccomp.NEVER_EXECUTABLE)} - {None}

    assert {number for number in range(600) if answer(steps, number, machine.audit) == "allow"} == listed
    for call in seccomp.NEVER_EXECUTABLE:
        number = NUMBERS[call][machine.column]
        assert number is not None
        for protection in range(16):
            executable = bool(protection & mmap.PROT_EXEC)
            assert answer(steps, number, machine.audit, protection) == ("refuse" if executable else "allow")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_filter_kills_what_calls_as_another_machine_does(name: str) -> None:
    machine = ARCHITECTURES[name]
    steps = seccomp.program(machine)

    assert answer(steps, 0, 0x4000_0003) == "kill"  # i386
    assert all(answer(steps, 0, other.audit) == "kill" for other in ARCHITECTURES.values() if other != machine)
    if machine.foreign:
        assert answer(steps, machine.foreign, machine.audit) == "kill"


@pytest.mark.parametrize("column", [0, 1])
def test_no_number_is_two_system_calls(column: int) -> None:
    numbers = [both[column] for both in NUMBERS.values() if both[column] is not None]

    assert len(numbers) == len(set(numbers))


HEADERS = {0: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 1: "/usr/include/asm-generic/unistd.h"}


@pytest.mark.parametrize("column", HEADERS)
def test_the_numbers_are_the_kernels(column: int) -> None:
    header = Path(HEADERS[column])
    if not header.is_file():
        pytest.skip("The kernel's headers are not installed.")
    defined = {
        words[1].removeprefix("__NR3264_").removeprefix("__NR_"): int(words[2])
        for line in header.read_text().splitlines()
        if len(words := line.split()) == 3 and words[0] == "#define" and words[2].isdecimal()
    }

    for name, both in NUMBERS.items():
        assert defined.get(name) == both[column], name


# A real sandbox worker.


async def test_a_worker_of_the_sandbox_is_locked_in(sandbox: Sandbox) -> None:
    assert sandbox.walls.missing is None
    for worker in sandbox.workers:
        tasks = [*Path(f"/proc/{worker}/task").iterdir()]
        assert len(tasks) == 2  # the thread of the guest watchdog is held too
        for task in tasks:
            status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
            assert {status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {"0" * 16}
            if is_root():
                assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4
                assert status["Groups"].split() == []


@as_root
async def test_a_worker_has_its_socket_and_nothing_else_open(sandbox: Sandbox) -> None:
    for worker in sandbox.workers:
        files = {int(file.name): str(file.readlink()) for file in Path(f"/proc/{worker}/fd").iterdir()}
        other = [name for number, name in files.items() if number > 2]
        assert {files[standard] for standard in (0, 1, 2)} <= {"/dev/null", "/null"}
        assert sum(name.startswith("socket:") for name in other) == 1
        assert all(name.startswith(("socket:", "/memfd:wasm-memory-image")) for name in other), other


@as_root
async def test_a_worker_has_a_network_and_a_root_of_its_own(sandbox: Sandbox) -> None:
    for worker in sandbox.workers:
        for name in sandbox.walls.namespaces:
            kind = {"mount": "mnt"}.get(name, name)
            own, ours = (Path(f"/proc/{process}/ns/{kind}").readlink() for process in (worker, "self"))
            assert own != ours
        if sandbox.walls.empty_root:
            assert [*Path(f"/proc/{worker}/root").iterdir()] == []


START = """
import asyncio
sys.path.insert(0, {root!r})
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.sandbox.service.worker_process import NotStarted
from tests.sandbox.programs import returned
async def started(**how):
    try:
        async with Sandbox.start(workers=1, compiled=compiled, **how) as sandbox:
            return [await returned(sandbox, "return [1]"), sandbox.walls.seccomp]
    except NotStarted as error:
        return error.message
import structlog; structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
compiled = asyncio.run(Sandbox.compiled())
"""


def test_a_service_does_not_start_without_seccomp_unless_it_is_told_to() -> None:
    root = str(Path(__file__).parents[3])
    script = START.format(root=root) + "forbid(seccomp=errno.EINVAL)\n"

    refused, unlocked = inside(script + "tell([asyncio.run(started()), asyncio.run(started(unlocked=True))])")

    assert "seccomp" in refused
    assert "HAIRTRIGGER_SANDBOX_UNLOCKED=true" in refused
    assert unlocked == [[1], False]


COMPILED = """
import dataclasses
from hairtrigger.sandbox.protocol import poll as code, frames, progress
from hairtrigger.sandbox.worker import guest, quickjs, main as worker
from hairtrigger.sandbox.service import worker_process as process
compiled = guest.Machine(b"", 1 << 26).serialized()
"""
A_WORKER = """
ours, theirs = socket.socketpair()
file = progress.ProgressFile()
if os.fork() == 0:
    worker.main(theirs.detach(), file.descriptor)
    os._exit(0)
theirs.close()
service = worker.Worker(ours, None)
values = {name: process._plain(value) for name, value in dataclasses.asdict(code.DEFAULT_LIMITS).items()}
service._send(frames.Frame(frames.Kind.HELLO, head={"limits": values, "unlocked": False}, body=compiled))
"""
CHECKS = """
ready = service._incoming.take()
course = {"seed": "00" * 16, "start": 0, "recorded": False, "replayed": False}
service._send(frames.Frame(frames.Kind.CHECK, 1, course, b'"return [)"'))
checked = service._incoming.take()
tell([ready.kind.name, ready.head, checked.kind.name, checked.head["name"]])
"""


@as_root
@pytest.mark.parametrize("without", ["", "forbid(unshare=errno.EPERM, landlock_create_ruleset=errno.ENOSYS)\n"])
def test_a_worker_of_a_user_without_privileges_is_locked_in_and_works(without: str) -> None:
    ready, walls, checked, error = inside(without + A_WORKER + CHECKS, uid=A_USER, first=COMPILED)

    assert (ready, checked, error) == ("READY", "FAILED", "SyntaxError")
    assert (walls["seccomp"], walls["holes"], walls["tested"], walls["uid"]) == (True, [], True, A_USER)
    if without:
        assert (walls["namespaces"], walls["landlock"]) == ([], 0)


def test_a_worker_in_which_code_can_not_be_ended_does_not_get_ready() -> None:
    """The patch stands for a kernel that refuses to take memory away, or a wasmtime that makes no trap of it."""
    patched = "quickjs.take_away = lambda *_: None\n"
    ready = "tell(bool(select.select([ours], [], [], 5)[0]))"

    assert inside(A_WORKER + ready, first="import select\n" + COMPILED) is True
    assert inside(patched + A_WORKER + ready, first="import select\n" + COMPILED) is False
