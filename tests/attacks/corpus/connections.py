"""Connections that do not finish their request, send it in tiny pieces, or do not read the answers."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.attacks.attack import Attack
from tests.attacks.attacker import Attacker, Wire

_STILL = 50  # times that the queue must be seen unchanged
_MANY = 300
_BODY = 1_000_000
_TOKEN = b"POST /token HTTP/1.1\r\nHost: service\r\nContent-Type: application/x-www-form-urlencoded\r\n"
_UNKNOWN = b"POST /v1/webhooks/00000000-0000-7000-8000-000000000000 HTTP/1.1\r\nHost: service\r\n"
_KEYED = (
    b"POST /organizations/00000000-0000-7000-8000-000000000000/triggers/00000000-0000-7000-8000-000000000000"
    b"/webhook/key/htk_none HTTP/1.1\r\nHost: service\r\n"
)
_PROJECTS = b"POST /v1/projects HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\n"


def _holding(name: str, start: bytes, *, short: bool = False) -> Attack:
    """Open many connections, each with a body whose last byte is sent only after all have sent the rest."""

    async def run(attacker: Attacker) -> None:
        async with attacker.connected(_MANY) as wires:
            head = start + b"Content-Length: %d\r\n\r\n" % _BODY
            await _held(attacker, wires, head)

    return Attack(f"{_MANY} connections hold bodies: {name}", "F", run, short=short)


def _sent(
    name: str, count: int, pieces: Callable[[], Iterable[bytes]], *, answers: bool = True, short: bool = False
) -> Attack:
    """Send these pieces on `count` connections. If `answers` is true, close them only after each has its answer."""

    async def run(attacker: Attacker) -> None:
        async with attacker.connected(count) as wires:
            await _together(wires, *pieces())
            if answers:
                await _answered(wires)

    return Attack(f"{count} connections: {name}", "F", run, short=short)


async def _held(attacker: Attacker, wires: list[Wire], head: bytes) -> None:
    await _together(wires, head, b"b" * (_BODY - 1))
    await _taken(attacker.port)
    await _together(wires, b"b")
    await _answered(wires)


async def _taken(port: int) -> None:
    """Return when the service has read all that came, or reads no more of it for now."""
    waiting, unchanged = _waiting(port), 0
    while waiting and unchanged < _STILL:
        await asyncio.sleep(0.02)
        now = _waiting(port)
        waiting, unchanged = now, unchanged + 1 if now == waiting else 0


def _waiting(port: int) -> int:
    """Return how many bytes wait in the kernel for a process to read them, on this port. See proc_pid_net(5)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(line[4].split(":")[1], 16) for line in lines if line[1].endswith(f":{port:04X}"))


async def _together(wires: list[Wire], *pieces: bytes) -> None:
    async with asyncio.TaskGroup() as tasks:
        for wire in wires:
            tasks.create_task(wire.send(*pieces))


async def _answered(wires: list[Wire]) -> None:
    """Wait until each connection has an answer or is closed by the service; the service may do either."""
    async with asyncio.TaskGroup() as tasks:
        for wire in wires:
            tasks.create_task(wire.status())


async def _own_webhook_held(attacker: Attacker) -> None:
    webhook = await attacker.webhook()
    async with attacker.connected(_MANY) as wires:
        await _held(attacker, wires, webhook.head + b"Content-Length: %d\r\n\r\n" % _BODY)


async def _not_read(attacker: Attacker) -> None:
    """Send requests one behind the other, and read none of the answers."""
    question = b"GET /v1/openapi.json HTTP/1.1\r\nHost: service\r\n\r\n"
    async with attacker.connected(20) as wires, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        sending = [tasks.create_task(wire.send(*[question * 100] * 50)) for wire in wires]
        await asyncio.wait(sending, timeout=5)  # the service may stop reading, and then sending never ends
        for one in sending:
            one.cancel()


async def _tiny(attacker: Attacker) -> None:
    """Send 10,000 requests and read the answers, 100 at a time on each of ten connections."""
    question = b"GET /livez HTTP/1.1\r\nHost: service\r\n\r\n"
    async with attacker.connected(10) as wires:
        for _ in range(10):
            await _together(wires, question * 100)
            for wire in wires:
                for _ in range(100):
                    head = await wire.reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                    await wire.reader.readexactly(length)


async def _opened_and_closed(attacker: Attacker) -> None:
    for _ in range(20):
        async with attacker.connected(100) as wires:
            await _together(wires, b"POST /token HTTP/1.1\r\nHost: service\r\nContent-Length: 10\r\n\r\nx")


def _crumbs(head: bytes, count: int) -> list[bytes]:
    """Return `head` and a body in chunks of one byte, with a thousand chunks in each piece."""
    return [head + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n" * 1000] * (count // 1000), b"0\r\n\r\n"]


ATTACKS = (
    _holding("a webhook that there is not", _UNKNOWN, short=True),
    _holding("a login", _TOKEN),
    _holding("a project, without credentials", _PROJECTS),
    _holding("a webhook with a key in its address", _KEYED),
    Attack(f"{_MANY} connections hold bodies: a webhook of the attacker's own", "F", _own_webhook_held),
    _sent("1 MB in chunks of a byte", 5, lambda: _crumbs(_UNKNOWN, 1_000_000)),
    _sent("2 MB in chunks of a byte to a login", 5, lambda: _crumbs(_TOKEN, 2_000_000)),
    _sent("a head of 60 KB that does not end", _MANY, lambda: [_UNKNOWN + b"X: " + b"h" * 60_000], answers=False),
    _sent("a head of 10 MB that does not end", 20, lambda: [_UNKNOWN + b"X: ", *[b"h" * 65_536] * 160]),
    _sent("10,000 headers", 20, lambda: [_UNKNOWN, *[b"".join(b"X%d: y\r\n" % n for n in range(10_000))], b"\r\n"]),
    _sent("a target of 1 MB", 20, lambda: [b"GET /", b"t" * 1_000_000, b" HTTP/1.1\r\n\r\n"]),
    _sent("a query of 60 KB", 20, lambda: [b"POST /v1/webhooks/x?" + b"q&" * 30_000 + b" HTTP/1.1\r\n\r\n"]),
    _sent("a length of 40 digits", 20, lambda: [_UNKNOWN + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n"]),
    _sent("a length below zero", 20, lambda: [_UNKNOWN + b"Content-Length: -1\r\n\r\n"]),
    _sent("two lengths", 20, lambda: [_UNKNOWN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"]),
    _sent(
        "a chunk of 16 exabytes",
        20,
        lambda: [_UNKNOWN + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"],
        answers=False,
    ),
    _sent(
        "an extension of a chunk that does not end",
        20,
        lambda: [_UNKNOWN + b"Transfer-Encoding: chunked\r\n\r\n1;", *[b"e" * 65_536] * 160],
    ),
    _sent("another protocol", 20, lambda: [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]),
    _sent("TLS", 20, lambda: [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)]),
    _sent("zeros", 20, lambda: [bytes(1_000_000)]),
    _sent(
        "an upgrade", 20, lambda: [b"GET / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"]
    ),
    _sent("nothing at all", 1000, list, answers=False),
    Attack("20 connections: answers are not read", "F", _not_read, short=True),
    Attack("10 connections: 10,000 tiny requests", "F", _tiny, short=True),
    Attack("2,000 connections are opened and closed", "F", _opened_and_closed),
)
