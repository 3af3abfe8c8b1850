import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hairtrigger.domain.errors import MissingAtProvider, ParseKilled, ProviderFailed
from hairtrigger.kit.cursor import mark
from hairtrigger.kit.http import Api
from hairtrigger.kit.parsing import Parse
from hairtrigger.kit.trigger import Cursor, Page, Polling, Question
from hairtrigger.platform.parser_process import Limits
from hairtrigger.platform.parsers import Parsers
from hairtrigger.services.catalogue import secret_params
from hairtrigger.services.parsing import Parsing
from tests.providers.asking import asking, parsed_here, trigger
from tests.providers.rss.corpus import CORPUS, Case, json_feed, rss
from tests.providers.rss.fake import Item, Site, app
from tests.providers.rss.feeds import COSTLY
from tests.support.internet import Internet

pytestmark = pytest.mark.anyio

PUBLISHED: Polling[Any] = trigger("rss", "on_item_published")
HOST = "https://blog.example.com"


async def poll(site: Site, cursor: Cursor | None = None, path: str = "/feed") -> Page:
    return await PUBLISHED.poll(
        asking("rss", "on_item_published", app(site), {"url": HOST + path}, cursor=cursor, host=HOST)
    )


async def entries(raw: bytes) -> list[dict[str, Any]]:
    page = await poll(Site(raw=raw))
    return [json.loads(draft.data) for draft in page.events]


def keys(page: Page) -> list[str]:
    return [draft.key for draft in page.events]


def on(day: int) -> str:
    return format_datetime(datetime(2026, 5, day, 12, tzinfo=UTC))


async def test_the_first_poll_shows_all_there_is_oldest_first() -> None:
    page = await poll(Site([Item("c"), Item("b"), Item("a")]))

    assert keys(page) == ["a", "b", "c"]


async def test_an_entry_that_is_new_at_any_place_and_of_any_date_is_new() -> None:
    site = Site([Item("b", published=on(20)), Item("a", published=on(10))])
    cursor = (await poll(site)).cursor
    site.items = [
        Item("b", published=on(20)),
        Item("back-dated", published=on(1)),
        Item("a", published=on(10)),
        Item("without a date"),
    ]

    page = await poll(site, cursor)

    assert keys(page) == ["without a date", "back-dated"]


async def test_new_entries_come_in_the_order_of_their_dates_where_all_have_one() -> None:
    site = Site([Item("b", published=on(2)), Item("d", published=on(4)), Item("a", published=on(1))])

    page = await poll(site)

    assert keys(page) == ["a", "b", "d"]
    assert page.events[0].occurred_at == datetime(2026, 5, 1, 12, tzinfo=UTC)


async def test_a_feed_that_has_not_changed_is_not_read_again() -> None:
    site = Site([Item("a")])
    first = await poll(site)

    second = await poll(site, first.cursor)

    assert site.full == 1
    assert (keys(second), second.cursor) == ([], first.cursor)


async def test_the_date_of_the_feed_is_sent_back_as_it_came() -> None:
    asked: list[dict[str, str]] = []

    class Dated(Internet):
        async def send(self, method: str, url: str, **more: Any) -> Any:
            asked.append(more["headers"])
            reply = await super().send(method, url, **more)
            headers = [header for header in reply.headers if header[0] != "etag"]
            return type(reply)(reply.status, (*headers, ("last-modified", "Fri, 01 May 2026 12:00:00 GMT")), reply.body)

    api = Api(Dated({HOST: app(Site([Item("a")]))}), "")
    question = asking("rss", "on_item_published", app(Site()), {"url": f"{HOST}/feed"})
    cursor = (await PUBLISHED.poll(_with(question, api, None))).cursor
    await PUBLISHED.poll(_with(question, api, cursor))

    assert asked == [{}, {"if-modified-since": "Fri, 01 May 2026 12:00:00 GMT"}]


def _with(question: Question[Any], api: Api, cursor: Cursor | None) -> Question[Any]:
    return replace(question, api=api, cursor=cursor)


async def test_not_modified_to_a_question_without_condition_is_no_feed() -> None:
    with pytest.raises(ProviderFailed, match="not an RSS, Atom or JSON feed"):
        await poll(Site(raw=b"", status=304))


async def test_an_entry_that_is_edited_is_not_new() -> None:
    site = Site([Item("a", "before")])
    cursor = (await poll(site)).cursor
    site.items = [Item("a", "after", on(9))]

    assert keys(await poll(site, cursor)) == []


async def test_the_same_id_twice_in_one_feed_is_one_entry() -> None:
    page = await poll(Site([Item("a", "newer"), Item("a", "older")]))

    assert keys(page) == ["a"]
    assert json.loads(page.events[0].data)["title"] == "newer"


async def test_a_feed_that_is_empty_for_once_does_not_make_all_new_again() -> None:
    site = Site([Item(str(n)) for n in range(1500)])
    cursor = (await poll(site)).cursor
    listed, site.items = site.items, []
    cursor = (await poll(site, cursor)).cursor
    site.items = [Item("new"), *listed]

    assert keys(await poll(site, cursor)) == ["new"]


async def test_what_is_remembered_is_bounded_and_the_latest() -> None:
    site, cursor = Site(), None
    for start in range(0, 2000, 5):
        site.items = [Item(str(n)) for n in range(start, start + 10)]
        cursor = (await poll(site, cursor)).cursor
    assert cursor
    site.items = [Item(str(n)) for n in range(1600, 2005)]

    assert len(cursor["seen"]) == 520
    assert keys(await poll(site, cursor)) == []


@dataclass
class Engine:
    """The engine's part for pages: it stores the events and the cursor together or not at all."""

    cursor: Cursor | None = None
    stored: list[str] = field(default_factory=list)

    async def run(self, site: Site, *, crashed: bool) -> None:
        page = await poll(site, self.cursor)
        if not crashed:
            self.stored += keys(page)
            self.cursor = page.cursor


listings = st.lists(
    st.builds(
        Item,
        st.sampled_from([f"guid {n}" for n in range(15)]),
        st.text("ab", max_size=1),
        st.none() | st.integers(1, 28).map(on),
    ),
    max_size=12,
)


@given(st.lists(st.tuples(listings, st.booleans())))
@settings(max_examples=60)
async def test_whatever_a_feed_does_nothing_is_lost_and_nothing_comes_twice(
    polls: list[tuple[list[Item], bool]],
) -> None:
    site, engine, listed = Site(), Engine(), set[str]()
    for items, crashed in polls:
        site.items = items
        await engine.run(site, crashed=crashed)
        listed |= set() if crashed else {item.guid for item in items}

    assert sorted(engine.stored) == sorted(listed)


async def test_the_key_is_the_id_else_the_link_else_what_is_said() -> None:
    page = await poll(
        Site(
            raw=b"""<rss><channel>
            <item><title>c</title></item>
            <item><title>b</title><link>https://blog.example.com/b</link></item>
            <item><title>a</title><link>https://blog.example.com/a</link><guid>tag:blog.example.com,2026:a</guid></item>
            </channel></rss>"""
        )
    )

    assert keys(page)[:2] == ["tag:blog.example.com,2026:a", "https://blog.example.com/b"]
    assert keys(page)[2].startswith("sha256:")


async def test_an_rss_entry_is_told_as_json() -> None:
    (entry,) = await entries(
        b"""<?xml version="1.0" encoding="ISO-8859-1"?>
        <rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>
        <item>
            <guid isPermaLink="false">1</guid>
            <title>Gr\xfc\xdfe</title>
            <link>/posts/1</link>
            <description>Short &lt;script&gt;alert(1)&lt;/script&gt;</description>
            <content:encoded><![CDATA[<p>Long <img src="/1.png"></p>]]></content:encoded>
            <author>ann@example.com (Ann)</author>
            <category>news</category><category domain="x">art</category>
            <enclosure url="https://blog.example.com/1.mp3" type="audio/mpeg" length="12"/>
            <pubDate>Fri, 01 May 2026 10:00:00 +0200</pubDate>
        </item></channel></rss>"""
    )

    assert entry == {
        "id": "1",
        "title": "Grüße",
        "link": "https://blog.example.com/posts/1",
        "summary": "Short",
        "content": '<p>Long <img src="https://blog.example.com/1.png" /></p>',
        "author": "ann@example.com (Ann)",
        "authors": [{"name": "Ann", "email": "ann@example.com", "url": None}],
        "published": "2026-05-01T08:00:00+00:00",
        "updated": None,
        "categories": ["news", "art"],
        "enclosures": [{"url": "https://blog.example.com/1.mp3", "type": "audio/mpeg", "length": "12"}],
        "extensions": {},
    }


async def test_an_atom_entry_is_told_as_json() -> None:
    (entry,) = await entries(
        b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title><entry>
            <id>urn:uuid:1225c695-cfb8-4ebb-aaaa-80da344efa6a</id>
            <title type="html">A &lt;b&gt;bold&lt;/b&gt; word</title>
            <link href="https://blog.example.com/1"/>
            <link rel="enclosure" href="https://blog.example.com/1.pdf" type="application/pdf"/>
            <summary>Short</summary>
            <author><name>Ann</name></author>
            <category term="news"/>
            <published>2026-05-01T10:00:00+02:00</published>
            <updated>2026-05-02T10:00:00Z</updated>
        </entry></feed>"""
    )

    assert entry == {
        "id": "urn:uuid:1225c695-cfb8-4ebb-aaaa-80da344efa6a",
        "title": "A <b>bold</b> word",
        "link": "https://blog.example.com/1",
        "summary": "Short",
        "content": None,
        "author": "Ann",
        "authors": [{"name": "Ann", "email": None, "url": None}],
        "published": "2026-05-01T08:00:00+00:00",
        "updated": "2026-05-02T10:00:00+00:00",
        "categories": ["news"],
        "enclosures": [{"url": "https://blog.example.com/1.pdf", "type": "application/pdf", "length": None}],
        "extensions": {},
    }


async def test_a_feed_that_is_not_well_formed_is_read_as_far_as_it_goes() -> None:
    found = await entries(b"<rss><channel><item><guid>a</guid><title>R & D &nbsp;&#1;\x00</title></item><item><guid>b")

    assert [(entry["id"], entry["title"]) for entry in found] == [("a", "R & D \xa0\x01")]


@pytest.mark.parametrize(
    "date", ["0001-01-01T00:00:00+12:00", "9999-12-31T23:59:60-12:00", "yesterday", "Mon, 99 Jan 99999 00:00:60 GMT"]
)
async def test_a_date_that_cannot_be_is_none(date: str) -> None:
    page = await poll(Site([Item("a", published=date)]))

    assert page.events[0].occurred_at is None
    assert json.loads(page.events[0].data)["published"] is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<!doctype html><html><head><link rel='alternate' href='/feed'></head><body><item>a</item></body></html>",
        b"It works!",
        b'{"items": []}',
        b'{"version": "https://jsonfeed.org/version/1.1", "items": {}}',
        b"\x89PNG\r\n\x1a\n",
    ],
)
async def test_what_is_no_feed_is_called_that(raw: bytes) -> None:
    with pytest.raises(ProviderFailed, match="not an RSS, Atom or JSON feed"):
        await poll(Site(raw=raw, content_type="text/html"))


async def test_json_that_is_cut_off_is_called_broken() -> None:
    with pytest.raises(ProviderFailed, match="too broken"):
        await poll(Site(raw=json_feed({"id": "a"})[:-9]))


@pytest.mark.parametrize("reference", [b"&#xD800;", b"&#99999999999999999999;", b"&#x110000;"])
async def test_a_feed_with_characters_that_there_are_not_is_called_broken(reference: bytes) -> None:
    with pytest.raises(ProviderFailed, match="too broken"):
        await poll(Site(raw=b"<rss><channel><item><title>x" + reference + b"</title></item></channel></rss>"))


async def test_the_name_of_a_file_is_not_taken_for_the_feed(tmp_path: Any) -> None:
    file = tmp_path / "secret.xml"
    file.write_bytes(Site([Item("secret")]).feed())

    with pytest.raises(ProviderFailed, match="not an RSS, Atom or JSON feed"):
        await poll(Site(raw=str(file).encode()))


async def test_entities_read_no_files_and_do_not_grow(tmp_path: Any) -> None:
    file = tmp_path / "secret"
    file.write_text("hunter2")
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    raw = (
        f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY e0 "ha"><!ENTITY file SYSTEM "file://{file}">{bomb}]>'
        "<rss><channel><item><guid>a</guid><title>&file;&e9;</title></item></channel></rss>"
    )

    page = await poll(Site(raw=raw.encode()))

    assert b"hunter2" not in page.events[0].data
    assert len(page.events[0].data) < 1000


async def test_a_feed_that_moved_is_followed() -> None:
    assert keys(await poll(Site([Item("a")]), path="/old")) == ["a"]


@pytest.mark.parametrize(
    ("status", "failure"),
    [(401, ProviderFailed), (403, ProviderFailed), (404, MissingAtProvider), (500, ProviderFailed)],
)
async def test_a_feed_that_is_not_given_is_an_ordinary_failure(status: int, failure: type[ProviderFailed]) -> None:
    with pytest.raises(ProviderFailed) as failed:
        await poll(Site([Item("a")], status=status))
    assert type(failed.value) is failure


@pytest.mark.parametrize("url", ["", "blog.example.com/feed", "file:///etc/passwd", "feed://blog.example.com"])
def test_a_feed_has_an_address_on_the_web(url: str) -> None:
    with pytest.raises(ValidationError):
        PUBLISHED.config.model_validate({"url": url})


# -- what feeds are like


@pytest.mark.parametrize("case", CORPUS.values(), ids=CORPUS)
async def test_a_feed_is_read_as_it_is_meant(case: Case) -> None:
    page = await poll(Site(raw=case.raw, content_type=case.content_type))

    read = [json.loads(draft.data) for draft in reversed(page.events)]
    if case.keys is not None:
        assert [draft.key for draft in reversed(page.events)] == case.keys
    for entry, expected in zip(read, case.entries, strict=case.keys is None):
        assert {name: entry[name] for name in expected} == expected


async def test_entries_of_one_id_fire_and_the_outcome_says_how_they_are_told_apart() -> None:
    def listed(*letters: str) -> Site:
        return Site(raw=rss(*(f"<guid>same</guid><link>https://x.example/{letter}</link>" for letter in letters)))

    cursor = (await poll(listed("b", "a"))).cursor
    page = await poll(listed("c", "b", "a"), cursor)
    alone = await poll(listed("d"), page.cursor)

    assert keys(page) == ["same https://x.example/c"]
    assert "told apart by their links" in page.note
    assert keys(alone) == ["same https://x.example/d"]


async def test_an_id_that_becomes_common_makes_only_the_other_entry_new() -> None:
    one = "<guid>same</guid><link>https://x.example/a</link>"
    cursor = (await poll(Site(raw=rss(one)))).cursor

    page = await poll(Site(raw=rss("<guid>same</guid><link>https://x.example/b</link>", one)), cursor)

    assert keys(page) == ["same https://x.example/b"]


async def test_an_entry_with_a_known_id_and_another_link_is_the_same_and_the_outcome_says_so_once() -> None:
    moved = Site(raw=rss("<guid>1</guid><link>https://new.example/1</link>"))
    cursor = (await poll(Site(raw=rss("<guid>1</guid><link>https://old.example/1</link>")))).cursor

    first = await poll(moved, cursor)
    second = await poll(Site(raw=moved.raw, content_type="text/xml"), {**first.cursor, "etag": None})

    assert (keys(first), "another link" in first.note) == ([], True)
    assert (keys(second), second.note) == ([], "")


async def test_a_feed_that_changes_its_order_has_nothing_new() -> None:
    items = [Item(str(n)) for n in range(9)]
    cursor = (await poll(Site(items))).cursor

    assert keys(await poll(Site([*items[5:], *items[:5]]), cursor)) == []


FORMER = {  # the keys of version 1 for entries that it named otherwise
    "<guid>t3_x</guid>": f"{HOST}/t3_x",
    "<guid>Ã¼</guid>": f"{HOST}/ü",
    "<guid>same</guid><link>https://x.example/a</link>": f"{HOST}/same",
}


@pytest.mark.parametrize("item", FORMER)
async def test_keys_of_a_former_spelling_do_not_make_entries_new(item: str) -> None:
    """A cursor of an earlier version holds marks of ids that were made absolute."""
    cursor = {"etag": None, "modified": None, "seen": [mark(FORMER[item])]}
    same = "<guid>same</guid><link>https://x.example/b</link>" if "same" in item else ""

    first = await poll(Site(raw=rss(item, *filter(None, [same]))), cursor)
    second = await poll(Site(raw=rss("<guid>new</guid>", item)), first.cursor)
    later = await poll(Site(raw=rss("<guid>same</guid><link>https://x.example/c</link>", same)), first.cursor)

    assert keys(first) == []
    assert keys(second) == ["new"]
    if same:
        assert keys(later) == ["same https://x.example/c"]


async def test_the_conditions_of_one_address_are_not_sent_to_another() -> None:
    site = Site([Item("a")])
    cursor = (await poll(site)).cursor

    await poll(site, {**cursor, "url": "another"})

    assert site.full == 2


# -- private feeds


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({"username": "ann", "password": "grüße"}, ("authorization", "Basic YW5uOmdyw7zDn2U=")),
        ({"headers": {"Authorization": "Bearer t"}}, ("authorization", "Bearer t")),
        ({"headers": {"User-Agent": "Reader/1"}}, ("user-agent", "Reader/1")),
    ],
)
async def test_a_private_feed_gets_its_credentials(config: dict[str, Any], sent: tuple[str, str]) -> None:
    site = Site([Item("a")])
    url = {"url": f"{HOST}/feed"}

    page = await PUBLISHED.poll(asking("rss", "on_item_published", app(site), {**url, **config}, host=HOST))

    assert keys(page) == ["a"]
    assert sent in site.asked[-1].items()


def test_credentials_of_a_feed_are_kept_as_secrets() -> None:
    assert secret_params(PUBLISHED) == {"password", "headers"}


@pytest.mark.parametrize(
    "config",
    [
        {"url": "https://ann:secret@blog.example.com/feed"},
        {"url": HOST, "headers": {"a b": "x"}},
        {"url": HOST, "headers": {"a": "x\r\nb: y"}},
    ],
)
def test_what_cannot_be_sent_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PUBLISHED.config.model_validate(config)


# -- behind the wall: in a locked process

DATES = (
    "Fri, 01 May 2026 10:00:00 +0200",
    "2026-05-01T10:00:00Z",
    "2004년 05월 28일",
    "Κυρ, 11 Ιούλ 2004 12:00:00 EST",
    "1",
)
ENCODINGS = ("utf-8", "windows-1252", "koi8-r", "gb2312", "big5", "iso-2022-jp", "idna", "punycode", "zip", "no-such")
BROKEN = b"<rss><channel><item><title>R & D &nbsp;&#1;\x00</title></item><item><guid>b"
ODD = {
    **{date: Site([Item("a", published=date)]).feed() for date in DATES},
    **{
        name: f'<?xml version="1.0" encoding="{name}"?><rss><channel><item><title>'.encode()
        + b"Gr\xfc\xdfe</title></item></channel></rss>"
        for name in ENCODINGS
    },
    "broken": BROKEN,
    "html": Site([Item("a", '<p style="color:red"><svg><a href="//münchen.example/ä b">&nbsp;<img src=x>')]).feed(),
    "entities": b'<!DOCTYPE rss [<!ENTITY e "x">]><rss><channel><item><title>&e;</title></item></channel></rss>',
    **{name: case.raw for name, case in CORPUS.items()},
}


@pytest.fixture(scope="module")
async def parse() -> AsyncIterator[Parse]:
    async with Parsers(2, Limits(cpu=3600, wall=3600)) as parsers:
        yield Parsing(parsers, "ours")


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
async def test_behind_the_wall_a_feed_is_read_as_it_would_be_here(parse: Parse, raw: bytes) -> None:
    """The locked process can load nothing any more, although feedparser loads some of its parts late."""
    content_type = "application/json" if raw.startswith(b"{") else "application/rss+xml"

    async def read(parse: Parse) -> Page | str:
        try:
            site = Site(raw=raw, content_type=content_type)
            return await PUBLISHED.poll(
                asking("rss", "on_item_published", app(site), {"url": f"{HOST}/feed"}, host=HOST, parse=parse)
            )
        except ProviderFailed as error:
            return error.message

    assert await read(parse) == await read(parsed_here)


@pytest.mark.parametrize("feed", COSTLY.values(), ids=COSTLY)
async def test_a_feed_that_costs_too_much_to_read_ends_its_own_poll(feed: Callable[[int], bytes]) -> None:
    """A megabyte of each of these feeds takes minutes to hours."""
    async with Parsers(2, Limits(cpu=0.5, wall=3600)) as parsers:
        site = Site(raw=feed(1_000_000))
        question = asking(
            "rss", "on_item_published", app(site), {"url": f"{HOST}/feed"}, host=HOST, parse=Parsing(parsers, "ours")
        )
        with pytest.raises(ParseKilled):
            await PUBLISHED.poll(question)
