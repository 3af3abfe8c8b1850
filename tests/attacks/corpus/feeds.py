"""Feeds that take a parser more than linear time, and other shapes that no real feed has."""

import gzip

from tests.attacks.attack import Attack
from tests.attacks.attacker import Attacker
from tests.support.servers import answering

_HEAD = b'<rss version="2.0"><channel><title>Feed</title>'
_TAIL = b"</channel></rss>"
_XML = b'<?xml version="1.0"?>'


def _feed(
    name: str, body: bytes, *, media_type: str = "application/rss+xml", encoding: str = "", short: bool = False
) -> Attack:
    """Poll a feed with this body. The poll may end in any way, but it must end."""
    headers = [("Content-Type", media_type), *([("Content-Encoding", encoding)] if encoding else [])]

    async def run(attacker: Attacker) -> None:
        await attacker.poll_feed(answering(200, body, *headers))

    return Attack(f"a feed: {name}", "D", run, short=short)


def _item(inside: bytes) -> bytes:
    return _HEAD + b"<item><guid>1</guid>" + inside + b"</item>" + _TAIL


def _html(inside: bytes) -> bytes:
    return _item(b"<description><![CDATA[" + inside + b"]]></description>")


def _laughs() -> bytes:
    """Return a feed of nested entities, each of which holds the previous one ten times."""
    names = b"abcdefghij"
    grown = b"".join(b'<!ENTITY %c "%s">' % (name, b"&%c;" % names[at] * 10) for at, name in enumerate(names[1:]))
    return _XML + b'<!DOCTYPE l [<!ENTITY a "ha">' + grown + b"]>" + _item(b"<title>&j;</title>")


async def _enabling(attacker: Attacker) -> None:
    """Enable a trigger, which makes the first request for the feed. The service may refuse."""
    url = attacker.serve(answering(200, _html(b'<p style="' + b"a" * 20_000 + b'">')))
    trigger = await attacker.organisation.create_trigger("rss", "on_item_published", {"url": url}, enable=False)
    await attacker.ask("POST", f"/triggers/{trigger}/enable", status=(200, 400, 409, 422, 502, 503))
    await attacker.ask("GET", f"/api/v0/project-triggers/{trigger}/test-samples", status=(200, 400, 422, 502, 503))
    await attacker.organisation.delete_trigger(trigger)


ATTACKS = (
    _feed("a style of 40 KB", _html(b'<p style="' + b"a" * 40_000 + b'">'), short=True),
    _feed("an author of 80 KB", _item(b"<author>" + b"a" * 80_000 + b"</author>"), short=True),
    _feed("an author of 30,000 labels", _item(b"<author>a@" + b"a." * 30_000 + b"</author>")),
    _feed("a style of spaces", _html(b'<p style="' + b" " * 15_000 + b'a">')),
    _feed("line breaks before the root", _XML + b"\n" * 40_000 + _item(b"")),
    _feed("line breaks in a document type", _XML + b"<!DOCTYPE x [" + b"\n" * 40_000 + b"]>" + _item(b"")),
    _feed("elements inside each other", _HEAD + b"<a>" * 30_000),
    _feed("comments that do not end", _html(b"<!--" * 30_000)),
    _feed("tags that do not end", _HEAD + b"<a" * 100_000),
    _feed("entities that grow", _laughs()),
    _feed("40,000 items", _HEAD + b"<item/>" * 40_000 + _TAIL),
    _feed("10,000 categories", _item(b"".join(b"<category>%d</category>" % n for n in range(10_000)))),
    _feed("numbers of characters that there are not", _item(b"<title>" + b"&#9999999999;" * 10_000 + b"</title>")),
    _feed("a codec that is no charset", b"a-" + b"b" * 200_000, media_type="application/xml; charset=punycode"),
    _feed("a parameter of 60 KB", _item(b""), media_type="application/rss+xml; charset=" + "u" * 60_000),
    _feed("a GUID of 1 MB", _HEAD + b"<item><guid>" + b"g" * 1_000_000 + b"</guid></item>" + _TAIL),
    _feed("2 MB of zeros behind gzip", gzip.compress(b"\0" * 2_000_000), encoding="gzip"),
    _feed("deep JSON", b'{"version": "https://jsonfeed.org/version/1.1", "items": ' + b"[" * 500_000),
    _feed("JSON with a number of 1 MB", b'{"items": [{"id": ' + b"9" * 1_000_000 + b"}]}"),
    Attack("a feed: a style, when the trigger is enabled", "D", _enabling),
)
