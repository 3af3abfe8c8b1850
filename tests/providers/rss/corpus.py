"""Feeds in our own words, each with what its entries must say: the kinds of feeds that readers stumble over."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NAMESPACES = " ".join(
    f'xmlns:{prefix}="{address}"'
    for prefix, address in {
        "content": "http://purl.org/rss/1.0/modules/content/",
        "dc": "http://purl.org/dc/elements/1.1/",
        "itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd",
        "media": "http://search.yahoo.com/mrss/",
        "slash": "http://purl.org/rss/1.0/modules/slash/",
        "shop": "https://shop.example/ns/1",
        "yt": "http://www.youtube.com/xml/schemas/2015",
    }.items()
)


def rss(*items: str) -> bytes:
    listed = "".join(f"<item>{item}</item>" for item in items)
    return f'<rss version="2.0" {_NAMESPACES}><channel><title>Site</title>{listed}</channel></rss>'.encode()


def atom(*entries: str, head: str = "") -> bytes:
    listed = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f'<feed xmlns="http://www.w3.org/2005/Atom" {_NAMESPACES}>{head}{listed}</feed>'.encode()


def json_feed(*items: Any, **feed: Any) -> bytes:
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items, **feed}).encode()


@dataclass(frozen=True)
class Case:
    """A feed, the fields that its entries must have, in the order of the feed, and the keys of their events."""

    raw: bytes
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    keys: list[str] | None = None
    content_type: str = "application/xml"


def _with_ids(name: str, *ids: str) -> dict[str, Case]:
    """Return feeds in which each id is written so, well-formed and not."""
    feeds = {
        "Atom": atom(*(f"<id>{one}</id><title>x</title>" for one in ids)),
        "RSS": rss(*(f"<guid>{one}</guid><title>x</title>" for one in ids)),
    }
    feeds |= {
        f"broken {kind}": raw.replace(b"<title>x</title>", b"<title>R & D</title>") for kind, raw in feeds.items()
    }
    read = [one.replace("&amp;", "&") for one in ids]
    return {f"{name}, {kind}": Case(raw, [{"id": one} for one in read], read) for kind, raw in feeds.items()}


def _dated(name: str, text: str, published: str | None) -> dict[str, Case]:
    return {f"dated {name}": Case(rss(f"<guid>a</guid><pubDate>{text}</pubDate>"), [{"published": published}])}


_SHOWN = "2026-05-01T08:00:00+00:00"
_FRAME = '<iframe src="https://video.example/embed/7" width="560"></iframe>'
_KEPT_FRAME = '<iframe src="https://video.example/embed/7" width="560"></iframe>'

CORPUS: Mapping[str, Case] = {
    **_with_ids("short ids", "t3_x", "1", "a b", "./a", "//a"),
    **_with_ids("ids that look like addresses", "HTTP://Example.COM:80/../a", "https://x.example/é?b=%7e&amp;c=1#d"),
    **_with_ids(
        "ids of other kinds", "tag:x.example,2026:1", "urn:uuid:00000000-0000-0000-0000-000000000001", "yt:v:1"
    ),
    "an id with characters that look like a wrong encoding": Case(rss("<guid>Ã¼</guid>"), [{"id": "Ã¼"}], ["Ã¼"]),
    "an id in CDATA": Case(rss("<guid><![CDATA[ a&b ]]></guid>"), [{"id": "a&b"}], ["a&b"]),
    "an id in CDATA of a broken feed": Case(
        rss("<guid><![CDATA[a&b]]></guid><title>R & D</title>"), [{"id": "a&b"}], ["a&b"]
    ),
    "an id of RSS 1.0": Case(
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">'
        b'<channel rdf:about="x"/><item rdf:about="../a"><title>x</title></item></rdf:RDF>',
        [{"id": "../a"}],
        ["../a"],
    ),
    "ids inside other elements": Case(
        atom("<id>own</id><source><id>feed</id></source><yt:about><id>other</id></yt:about>"), [{"id": "own"}], ["own"]
    ),
    "several authors of Atom": Case(
        atom(
            "<id>1</id><author><name>Ann</name><email>ann@x.example</email><uri>https://ann.example</uri></author>"
            "<author><name>Ben</name></author>"
        ),
        [
            {
                "author": "Ann, Ben",
                "authors": [
                    {"name": "Ann", "email": "ann@x.example", "url": "https://ann.example"},
                    {"name": "Ben", "email": None, "url": None},
                ],
            }
        ],
    ),
    "several authors of Dublin Core": Case(
        rss("<guid>1</guid><dc:creator>Ann</dc:creator><dc:creator>Ben</dc:creator>"),
        [{"author": "Ann, Ben", "authors": [{"name": n, "email": None, "url": None} for n in ("Ann", "Ben")]}],
    ),
    "authors with addresses": Case(
        rss(
            "<guid>1</guid><author>ann@x.example (Ann Lee)</author><dc:creator>Ben Ray &lt;b@x.example&gt;</dc:creator>"
        ),
        [
            {
                "author": "Ann Lee, Ben Ray",
                "authors": [
                    {"name": "Ann Lee", "email": "ann@x.example", "url": None},
                    {"name": "Ben Ray", "email": "b@x.example", "url": None},
                ],
            }
        ],
    ),
    "an author named twice": Case(
        rss("<guid>1</guid><dc:creator>Ann</dc:creator><itunes:author>Ann</itunes:author>"),
        [{"author": "Ann", "authors": [{"name": "Ann", "email": None, "url": None}]}],
    ),
    "an author of the whole feed": Case(
        atom("<id>1</id>", head="<author><name>Ann</name></author>"),
        [{"author": "Ann", "authors": [{"name": "Ann", "email": None, "url": None}]}],
    ),
    "a date of Dublin Core": Case(
        rss("<guid>a</guid><dc:date>2026-05-01T10:00:00+02:00</dc:date>"), [{"published": _SHOWN, "updated": _SHOWN}]
    ),
    "two dates": Case(
        rss("<guid>a</guid><pubDate>Fri, 01 May 2026 10:00:00 +0200</pubDate><dc:date>2026-05-02T00:00:00Z</dc:date>"),
        [{"published": _SHOWN, "updated": "2026-05-02T00:00:00+00:00"}],
    ),
    **_dated("with an offset", "Fri, 01 May 2026 10:00:00 +0200", _SHOWN),
    **_dated("in summer time by name", "Fri, 01 May 2026 10:00:00 CEST", _SHOWN),
    **_dated("in brackets", "Fri, 01 May 2026 10:00 (CEST)", _SHOWN),
    **_dated("in a German zone", "01 May 2026 10:00:00 MESZ", _SHOWN),
    **_dated("in ISO 8601 with a name", "2026-05-01 10:00:00 CEST", _SHOWN),
    **_dated("in British summer", "Fri, 01 May 2026 09:00:00 BST", _SHOWN),
    **_dated("in India", "Fri, 01 May 2026 13:30:00 IST", _SHOWN),
    **_dated("in Japan", "Fri, 01 May 2026 17:00:00 JST", _SHOWN),
    **_dated("in Alaska", "Fri, 01 May 2026 00:00:00 AKDT", _SHOWN),
    **_dated("in New York", "Fri, 01 May 2026 04:00:00 EDT", _SHOWN),
    **_dated("in an unknown zone", "Fri, 01 May 2026 08:00:00 XYZ", _SHOWN),
    **_dated("on no day", "Fri, 31 Feb 2026 08:00:00 CEST", None),
    "elements of other namespaces": Case(
        rss(
            "<guid>a</guid>"
            '<media:content url="https://x.example/a.mp4" fileSize="9" isDefault="true"><media:title>Clip</media:title>'
            '</media:content><media:thumbnail url="https://x.example/a.png"/><media:thumbnail url="/b.png"/>'
            "<itunes:duration>12:34</itunes:duration><itunes:episode>7</itunes:episode>"
            "<itunes:explicit>yes</itunes:explicit><itunes:episodeType>full</itunes:episodeType>"
            '<itunes:image href="https://x.example/a.jpg"/><slash:comments>3</slash:comments>'
            '<shop:price currency="EUR">9 &amp; more</shop:price><yt:videoId>v7</yt:videoId>'
        ),
        [
            {
                "extensions": {
                    "media:content": [
                        {
                            "url": "https://x.example/a.mp4",
                            "fileSize": "9",
                            "isDefault": "true",
                            "media:title": ["Clip"],
                        }
                    ],
                    "media:thumbnail": [{"url": "https://x.example/a.png"}, {"url": "/b.png"}],
                    "itunes:duration": ["12:34"],
                    "itunes:episode": ["7"],
                    "itunes:explicit": ["yes"],
                    "itunes:episodeType": ["full"],
                    "itunes:image": [{"href": "https://x.example/a.jpg"}],
                    "slash:comments": ["3"],
                    "shop:price": [{"currency": "EUR", "text": "9 & more"}],
                    "yt:videoId": ["v7"],
                }
            }
        ],
    ),
    "the same elements in a broken feed": Case(
        rss(
            "<guid>a</guid><title>R & D</title><yt:videoId>v7</yt:videoId>"
            '<media:group><media:thumbnail url="https://x.example/?a=1&amp;b=2"/><media:description>One &amp; two'
            "</media:description></media:group>"
        ),
        [
            {
                "extensions": {
                    "yt:videoId": ["v7"],
                    "media:group": [
                        {
                            "media:thumbnail": [{"url": "https://x.example/?a=1&b=2"}],
                            "media:description": ["One & two"],
                        }
                    ],
                }
            }
        ],
    ),
    "frames": Case(
        rss(f"<guid>a</guid><content:encoded><![CDATA[<p>See</p>{_FRAME}]]></content:encoded>"),
        [{"content": f"<p>See</p>{_KEPT_FRAME}"}],
    ),
    "frames that are code": Case(
        rss(
            '<guid>a</guid><content:encoded><![CDATA[<iframe src="javascript:x()" srcdoc="<b>"></iframe>]]>'
            "</content:encoded>"
        ),
        [{"content": "<iframe></iframe>"}],
    ),
    "one id for several entries": Case(
        rss(
            "<guid>same</guid><link>https://x.example/b</link>",
            "<guid>same</guid><link>https://x.example/a</link>",
            "<guid>other</guid><link>https://x.example/c</link>",
        ),
        keys=["same https://x.example/b", "same https://x.example/a", "other"],
    ),
    "no ids and one link": Case(
        rss("<link>https://x.example/</link><title>Two</title>", "<link>https://x.example/</link><title>One</title>"),
        keys=["https://x.example/ Two", "https://x.example/ One"],
    ),
    "empty ids": Case(
        rss("<guid/><link>https://x.example/b</link>", "<guid> </guid><link>https://x.example/a</link>"),
        keys=["https://x.example/b", "https://x.example/a"],
    ),
    "a JSON feed": Case(
        json_feed(
            {
                "id": 7,
                "url": "https://x.example/7",
                "title": "Seven",
                "content_html": '<p>Hi<script>x()</script><img src="/7.png"></p>',
                "date_published": "2026-05-01T10:00:00+02:00",
                "tags": ["news"],
                "authors": [{"name": "Ann", "url": "https://ann.example"}],
                "attachments": [{"url": "https://x.example/7.mp3", "mime_type": "audio/mpeg", "size_in_bytes": 12}],
                "image": "https://x.example/7.png",
                "_shop": {"price": 9},
            },
            {"id": "six", "content_text": "a < b", "author": {"name": "Ben"}},
            ["no item"],
            title="Site",
        ),
        [
            {
                "id": "7",
                "title": "Seven",
                "link": "https://x.example/7",
                "summary": None,
                "content": '<p>Hi<img src="https://x.example/7.png" /></p>',
                "author": "Ann",
                "authors": [{"name": "Ann", "email": None, "url": "https://ann.example"}],
                "published": _SHOWN,
                "updated": None,
                "categories": ["news"],
                "enclosures": [{"url": "https://x.example/7.mp3", "type": "audio/mpeg", "length": "12"}],
                "extensions": {"image": ["https://x.example/7.png"], "_shop": [{"price": 9}]},
            },
            {"id": "six", "content": "a < b", "author": "Ben"},
        ],
        ["7", "six"],
        "application/feed+json",
    ),
    "a JSON feed with a byte order mark": Case(b"\xef\xbb\xbf" + json_feed({"id": "a"}), [{"id": "a"}], ["a"]),
    "a JSON feed without items": Case(json_feed(), [], []),
    "an RSS feed without items": Case(rss(), [], []),
    "an Atom feed without entries": Case(atom(), [], []),
    "a feed in UTF-16": Case(
        f'<?xml version="1.0" encoding="utf-16"?>{rss("<guid>a</guid><title>Grüße</title>").decode()}'.encode("utf-16"),
        [{"id": "a", "title": "Grüße"}],
    ),
    "a feed whose encoding is in the header": Case(
        rss("<guid>a</guid><title>Grüße</title>").decode().encode("latin-1"),
        [{"title": "Grüße"}],
        content_type="application/xml; charset=iso-8859-1",
    ),
    "a feed whose header names the wrong encoding": Case(
        b'<?xml version="1.0" encoding="utf-8"?>' + rss("<guid>a</guid><title>Grüße</title>"),
        [{"title": "Grüße"}],
        content_type="application/xml; charset=us-ascii",
    ),
    "a feed in a language of its own bytes": Case(
        b'<?xml version="1.0" encoding="windows-1251"?>'
        + rss("<guid>a</guid><title>Привет</title>").decode().encode("windows-1251"),
        [{"title": "Привет"}],
    ),
    "a feed that is a compressed file": Case(
        gzip.compress(rss("<guid>a</guid>")), [{"id": "a"}], ["a"], "application/octet-stream"
    ),
    "a feed after empty lines": Case(b"\n\n  " + rss("<guid>a</guid>"), [{"id": "a"}]),
    "a feed that is sent as a web page": Case(rss("<guid>a</guid>"), [{"id": "a"}], content_type="text/html"),
}
