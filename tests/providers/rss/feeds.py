"""Feeds that cost more to read than their size suggests, each as a function of its size in bytes.

Each was measured to take at least three times as long at twice the size, with feedparser 6.0.14.
"""

from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape


def _with(item: str, namespaces: str = "") -> bytes:
    return f'<rss version="2.0" {namespaces}><channel><item><guid>1</guid>{item}</item></channel></rss>'.encode()


def _described(html: str) -> bytes:
    return _with(f"<description>{escape(html)}</description>")


def _style(size: int) -> bytes:
    return _described(f'<p style="{"a" * size}">x</p>')


def _author(size: int) -> bytes:
    return _with(f"<author>{'a' * size}</author>")


def _creator(size: int) -> bytes:
    return _with(f"<dc:creator>{'a.' * (size // 2)}</dc:creator>", 'xmlns:dc="http://purl.org/dc/elements/1.1/"')


def _comments(size: int) -> bytes:
    return _described("<!--" * (size // 4))


def _entities(size: int) -> bytes:
    return b'<?xml version="1.0"?>\n<!DOCTYPE x [' + b'\n<!ENTITY a "' * (size // 13) + _with("")


def _bases(size: int) -> bytes:
    """Return a feed that grows in memory too: each of many links is made absolute with the same long base."""
    links = escape("<a href=x>") * (size // 26)
    namespace = 'xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    base = f"http://x/{'a' * (size // 2)}/"
    return _with(f'<a xml:base="{base}"><content:encoded>{links}</content:encoded></a>', namespace)


COSTLY: Mapping[str, Callable[[int], bytes]] = {
    "style": _style,
    "author": _author,
    "creator": _creator,
    "comments": _comments,
    "entities": _entities,
    "bases": _bases,
}
