"""Work that the service does before it knows the caller: passwords, tokens, keys."""

import asyncio
import base64
import json
from uuid import uuid4

from tests.attacks.attack import Attack
from tests.attacks.attacker import Attacker

_REFUSED = (400, 401, 413, 422, 429, 503)


def _logging_in(name: str, count: int, length: int, password: int, *, short: bool = False) -> Attack:
    """Log in `count` times at once, with made-up names and passwords of these lengths."""

    async def run(attacker: Attacker) -> None:
        async def log_in() -> None:
            form = {"username": f"{uuid4()}{'n' * length}@example.com", "password": "p" * password}
            await attacker.ask("POST", "/token", data=form, status=_REFUSED)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(log_in())

    return Attack(f"logging in: {name}", "F", run, short=short)


def _bearer(name: str, value: str) -> Attack:
    async def run(attacker: Attacker) -> None:
        for path in ("/triggers", "/v1/projects", "/integrations/v1/get", "/providers/rss/triggers"):
            headers = {"authorization": f"Bearer {value}"}
            await attacker.ask("GET", path, headers=headers, status=(400, 401, 403, 431))

    return Attack(f"a token: {name}", "F", run)


def _encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _token(header: bytes, claims: bytes = b"{}") -> str:
    return f"{_encoded(header)}.{_encoded(claims)}.{_encoded(b'signature')}"


ATTACKS = (
    _logging_in("20 made-up names at once", 20, 0, 12, short=True),
    _logging_in("100 made-up names at once", 100, 0, 12),
    _logging_in("names of 1 MB", 40, 1_000_000, 12),
    _logging_in("passwords of 1 MB", 20, 0, 1_000_000),
    _bearer("50 KB of nothing", "x" * 50_000),
    _bearer("a key of 50 KB", "htk_" + "k" * 50_000),
    _bearer("50,000 dots", "." * 50_000),
    _bearer("no algorithm", _token(b'{"alg": "none"}')),
    _bearer("deep JSON", _token(b"[" * 30_000)),
    _bearer("a deep header", _token(b'{"alg": "HS256", "x": ' + b"[" * 15_000 + b"]" * 15_000 + b"}")),
    _bearer("deep claims", _token(b'{"alg": "HS256"}', b'{"sub": ' + b"[" * 15_000 + b"]" * 15_000 + b"}")),
    _bearer("a number of 30,000 digits", _token(b'{"alg": "HS256", "x": ' + b"9" * 30_000 + b"}")),
    _bearer("a header that is critical", _token(json.dumps({"alg": "HS256", "crit": ["b64"] * 1000}).encode())),
    _bearer("what is no UTF-8", _token(b"\xff\xfe\xfd")),
)
