"""Bodies, addresses and fields that are deep, long, many or odd, as any organisation can send them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.attacks.attack import Attack
from tests.attacks.attacker import Attacker

_MOST = 1_000_000  # bytes of a body that the service may accept
_JSON = {"content-type": "application/json"}
_ID = "00000000-0000-7000-8000-000000000000"

_BODIES: Mapping[str, bytes] = {
    "deep arrays": b"[" * _MOST,
    "deep arrays that end": b"[" * 400_000 + b"]" * 400_000,
    "deep objects": b'{"a":' * 150_000 + b"1" + b"}" * 150_000,
    "a number of 1 MB": b'{"id": ' + b"9" * (_MOST - 20) + b"}",
    "a number with an exponent of 1 MB": b'{"id": 1e' + b"9" * (_MOST - 20) + b"}",
    "300,000 empty objects": b'{"id": "x", "a": [' + b"{}," * 300_000 + b"{}]}",
    "200,000 empty arrays": b'{"id": "x", "a": [' + b"[]," * 200_000 + b"[]]}",
    "500,000 numbers": b'{"id": "x", "a": [' + b"0," * 400_000 + b"0]}",
    "90,000 keys": b'{"id": "x"' + b"".join(b',"%d":0' % n for n in range(90_000)) + b"}",
    "the same key 100,000 times": b'{"id": "x"' + b',"a":0' * 100_000 + b"}",
    "a key of 900 KB": b'{"' + b"k" * 900_000 + b'": 1}',
    "escapes": b'{"id": "' + b"\\u0041" * 150_000 + b'"}',
    "half characters": b'{"id": "' + b"\\ud800" * 150_000 + b'"}',
    "zeros in a text": b'{"id": "' + b"\\u0000" * 150_000 + b'"}',
    "an id of 900 KB": b'{"id": "' + b"i" * 900_000 + b'"}',
    "what is no UTF-8": b"\xff" * _MOST,
    "spaces": b" " * _MOST,
    "UTF-16": '{"id": "x"}'.encode("utf-16"),
}
_ODD_TYPES = (
    *("application/json; charset=utf-7", "application/json; charset=punycode", "application/x-www-form-urlencoded"),
    *("multipart/form-data", "multipart/form-data; boundary=" + "b" * 50_000, "text/" + "t" * 50_000, ";" * 50_000),
    *('application/json; charset="' + '\\"' * 20_000 + '"', "message/rfc822", "", " ", "/", "a/b/c", "\x80\xff"),
)
_TEXTS = (
    "9" * 100_000,
    "x" * 1_000_000,
    "\0",
    "\ud83d",
    "%" * 10_000,
    "../../../etc/passwd",
    "{{" * 50_000,
    "a" * 200_000 + "!",
)
_CRONS = (
    *("*/0 * * * *", "0-59/1,0-59/1,0-59/1 * * * *", "0 0 31 2 *", "0 0 29 2 1", "0 0 L * *", "0 0 * * 5#5", "@yearly"),
    *(
        ",".join(["0-59"] * 20_000) + " * * * *",
        "9" * 50_000 + " * * * *",
        "* " * 50_000,
        "0 0 30 2 */7",
        "1-" * 50_000,
    ),
)
_INTERVALS: Sequence[Any] = (
    0,
    -1,
    1e-300,
    1e308,
    1e400,
    10**400,
    "1" * 100_000 + "m",
    "1e999d",
    "NaN",
    "0.0000001s",
    True,
    [[]],
    {},
)
_TIMES = (
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "2026-01-01T00:00:00+99:99",
    "1" * 100_000,
    "T" * 100_000,
    "24:00",
    "-271821-04-20",
)


def _sent(name: str, body: bytes) -> Attack:
    """Send the body to a webhook whose events have their id in the body, and to each of the three APIs."""

    async def run(attacker: Attacker) -> None:
        webhook = await attacker.webhook(event_id="/id")
        answers = [await webhook.send(body, _JSON) for _ in range(3)]
        for answer in answers:
            assert answer.status_code < 500, f"the webhook was answered with {answer.status_code}: {answer.text[:200]}"
        for method, path in (
            ("POST", "/v1/projects"),
            ("POST", f"/projects/{attacker.organisation.project}/triggers"),
            ("POST", "/integrations/v1/create"),
            ("PATCH", f"/v1/projects/{attacker.organisation.project}"),
        ):
            await attacker.ask(method, path, content=body, headers=_JSON)

    return Attack(f"a body: {name}", "F", run)


def _asked(name: str, *asked: tuple[str, str, Mapping[str, Any]], short: bool = False) -> Attack:
    async def run(attacker: Attacker) -> None:
        for method, path, options in asked:
            await attacker.ask(method, path.format(project=attacker.organisation.project), **options)

    return Attack(f"a request: {name}", "F", run, short=short)


def _configured(name: str, provider: str, trigger: str, *params: Mapping[str, Any]) -> Attack:
    """Create a trigger with each of these configurations; enable, show and delete those that are accepted."""

    async def run(attacker: Attacker) -> None:
        for one in params:
            body = {"provider_id": provider, "trigger_id": trigger, "trigger_config_params": one}
            content = json.dumps(body).encode()
            path = f"/projects/{attacker.organisation.project}/triggers"
            made = await attacker.ask("POST", path, content=content, headers=_JSON)
            if made.status_code == 201:
                await _used(attacker, made.json()["project_trigger_id"])

    return Attack(f"a configuration: {name}", "E", run)


async def _used(attacker: Attacker, trigger: str) -> None:
    await attacker.ask("POST", f"/triggers/{trigger}/enable", status=(200, 400, 409, 422, 502, 503))
    await attacker.ask("GET", f"/v1/project-triggers/{trigger}")
    await attacker.ask("GET", "/v1/project-triggers")
    await attacker.ask("GET", "/triggers")
    await attacker.ask("DELETE", f"/triggers/{trigger}", status=(204,))


async def _odd_types(attacker: Attacker) -> None:
    webhook = await attacker.webhook()
    for media_type in _ODD_TYPES:
        headers = {"content-type": media_type.encode("latin-1").decode("latin-1")}
        async with attacker.connected() as [wire]:
            await wire.send(
                webhook.head + b"Content-Type: " + media_type.encode("latin-1") + b"\r\nContent-Length: 2\r\n\r\n{}"
            )
            status = await wire.status()
            assert status is None or status < 500, f"{media_type[:60]!r} was answered with {status}"
        if headers["content-type"].isascii() and headers["content-type"].isprintable():
            for path in ("/token", "/v1/projects", "/integrations/v1/create"):
                await attacker.ask("POST", path, content=b"{}", headers=headers)


async def _keys(attacker: Attacker) -> None:
    """Send long and odd idempotency keys, each of which the service would have to remember."""
    for key in ("k" * 255, "k" * 256, "k" * 50_000, "\t", "%00"):
        await attacker.ask("POST", "/v1/connections", content=b"{}", headers={**_JSON, "idempotency-key": key})
    webhook = await attacker.webhook()
    for key in ("k" * 1000, "k" * 50_000):
        answer = await webhook.send(b"{}", {**_JSON, "idempotency-key": key})
        assert answer.status_code < 500, f"a key of {len(key)} was answered with {answer.status_code}"


async def _parts(attacker: Attacker) -> None:
    """Send forms of tens of thousands of tiny parts."""
    part = b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nx\r\n'
    multipart = {"content-type": "multipart/form-data; boundary=b"}
    for path in ("/token",):
        await attacker.ask("POST", path, content=part * 20_000 + b"--b--\r\n", headers=multipart)
        head = b"--b\r\n" + b"X: " + b"h" * 1_500_000
        await attacker.ask("POST", path, content=head, headers=multipart)
        form = {"content-type": "application/x-www-form-urlencoded"}
        await attacker.ask("POST", path, content=b"a&" * 900_000, headers=form)
        await attacker.ask("POST", path, content=b"%zz" * 600_000, headers=form)


async def _icons(attacker: Attacker) -> None:
    integration, _ = await attacker.organisation.create_integration("return [];")
    icons = {
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg">' + b"<g>" * 100_000,
        "png": b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\xff" * 100_000,
        "gif": b"GIF89a" + b"\xff" * 100_000,
        "jpg": b"\xff\xd8" + b"\xff\xe0\0\2" * 100_000,
        "webp": b"RIFF\xff\xff\xff\xffWEBP" + b"\0" * 100_000,
    }
    for suffix, content in icons.items():
        for field in ("icon", "file"):
            files = {field: (f"icon.{suffix}", content, f"image/{suffix}")}
            await attacker.ask("PUT", f"/integrations/v1/{integration}/icon", files=files)
        await attacker.ask("GET", f"/integrations/v1/{integration}/icon/image")


async def _large_events(attacker: Attacker) -> None:
    """Send forty events of 1 MB at once, then ask for the events and their explanation."""
    webhook = await attacker.webhook()
    body = b'{"text": "' + b"x" * (_MOST - 20) + b'"}'
    async with asyncio.TaskGroup() as tasks:
        sending = [tasks.create_task(webhook.send(body, _JSON)) for _ in range(40)]
    for one in sending:
        answer = one.result()
        assert answer.status_code in (200, 503), f"an event was answered with {answer.status_code}"
    await attacker.ask("GET", "/v1/events?limit=200")
    await attacker.ask("GET", f"/v1/project-triggers/{webhook.id}/explain")


async def _templates(attacker: Attacker) -> None:
    """Deliver an event to an agent whose template names the event ten thousand times."""
    url = attacker.server.url
    target = {"kind": "agent", "base_url": url, "model": "m", "template": "{{event}}" * 10_000, "timeout_seconds": 5}
    await attacker.organisation.create_project(target)
    trigger = await attacker.organisation.create_trigger("webhook", "on_request", {}, secret="a secret of the webhook")
    headers = {"x-webhook-secret": "a secret of the webhook", **_JSON}
    body = b'{"text": "' + b"x" * 900_000 + b'"}'
    answer = await attacker.organisation.client.post_raw(f"/v1/webhooks/{trigger}", body, headers)
    assert answer.status_code == 200, answer.text[:200]
    while True:
        shown = await attacker.organisation.client.ask("GET", f"/v1/deliveries?project_trigger_id={trigger}")
        if shown["data"] and shown["data"][0]["attempts"] > 0:
            break
        await asyncio.sleep(0.1)
    await attacker.ask("POST", f"/triggers/{trigger}/disable")


def _long(path: str) -> tuple[str, str, Mapping[str, Any]]:
    return ("GET", path, {})


ATTACKS = (
    *(_sent(name, body) for name, body in _BODIES.items()),
    Attack("a request: odd types of content", "F", _odd_types),
    Attack("a request: keys of idempotency", "F", _keys),
    Attack("a request: forms of many parts", "F", _parts, short=True),
    Attack("a request: icons that are none", "F", _icons),
    Attack("40 events of 1 MB at once", "F", _large_events),
    Attack("a template that names the event 10,000 times", "F", _templates),
    _asked(
        "long addresses",
        *(_long(prefix + "x" * 50_000) for prefix in ("/", "/v1/", "/v1/projects/", "/integrations/v1/", "/triggers/")),
        *(_long(prefix + "/" * 50_000) for prefix in ("/v1/webhooks/", "/providers/")),
        _long("/v1/events?" + "&".join(f"a{n}={n}" for n in range(8_000))),
        _long("/v1/events?cursor=" + "%00" * 15_000),
        _long("/v1/events?limit=" + "9" * 50_000),
        _long("/v1/events?since=" + "9" * 50_000),
        _long("/v1/events?since=9999-12-31T23:59:59-23:59"),
        _long("/v1/projects?cursor=" + "e" * 50_000),
        _long(f"/v1/project-triggers/{_ID}/explain?at=" + "T" * 50_000),
        _long("/providers/" + "%2e%2e%2f" * 5_000 + "/triggers"),
    ),
    _asked(
        "odd values in bodies",
        *(
            (
                "POST",
                "/v1/projects",
                {"json": {"name": text.encode("utf-8", "ignore").decode(), "target": {"kind": "log"}}},
            )
            for text in _TEXTS
        ),
        *(
            (
                "POST",
                "/v1/projects",
                {
                    "json": {
                        "name": "x",
                        "target": {
                            "kind": "workflow",
                            "url": f"http://{text[:100_000].encode('utf-8', 'ignore').decode()}",
                        },
                    }
                },
            )
            for text in _TEXTS
        ),
        *(
            (
                "POST",
                "/v1/connections",
                {"json": {"provider_id": "stripe", "secrets": {f"k{n}": "v" for n in range(50_000)}}},
            ),
        ),
        *(
            (
                "POST",
                "/v1/polling-code/dry-run",
                {"json": {"code": "return [];", "inputs": {f"k{n}": n for n in range(90_000)}}},
            ),
        ),
        *(
            ("POST", "/v1/polling-code/dry-run", {"json": {"code": "return [];", "last_poll_time": at}})
            for at in _TIMES
        ),
    ),
    _configured("cron", "schedule", "on_schedule", *({"cron": cron} for cron in _CRONS)),
    _configured("intervals", "schedule", "on_schedule", *({"interval": interval} for interval in _INTERVALS)),
    _configured(
        "zones",
        "schedule",
        "on_schedule",
        *({"cron": "0 9 * * *", "timezone": zone.encode("utf-8", "ignore").decode()} for zone in _TEXTS),
    ),
    _configured("times", "schedule", "on_schedule_once", *({"run_at": at, "timezone": "UTC"} for at in _TIMES)),
    _configured(
        "addresses of feeds",
        "rss",
        "on_item_published",
        *({"url": f"http://{text[:100_000].encode('utf-8', 'ignore').decode()}"} for text in _TEXTS),
    ),
    _configured(
        "signatures",
        "webhook",
        "on_request",
        *(
            {"scheme": "hmac", "header": "X", "signed": f"{{body}}{text[:200_000].encode('utf-8', 'ignore').decode()}"}
            for text in _TEXTS
        ),
    ),
    _configured(
        "ids",
        "webhook",
        "on_request",
        {"event_id": "/" * 200_000},
        {"event_id": "/" + "~" * 200_000},
        {"event_id": "header:" + "h" * 200_000},
    ),
)
