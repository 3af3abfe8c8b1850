"""Converts domain names outside of ASCII, after https://url.spec.whatwg.org/#concept-domain-to-ascii.

This module must be imported before a sandbox worker is locked in, because the tables are files.
"""

import codecs
import unicodedata

import idna
import idna.uts46data

_PUNYCODE = codecs.lookup("punycode")
_LONGEST = 512  # characters, far more than DNS can carry: the time that is needed grows with their square
_RIGHT_TO_LEFT = ("R", "AL", "AN")


def to_ascii(domain: str) -> str | None:
    """Return the domain in ASCII, or None if it is not valid.

    Which ASCII characters are allowed is not checked here, but in the prelude's URL parser.
    """
    try:
        labels = [_decoded(label) for label in _mapped(domain).split(".")]
        if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for label in labels for character in label):
            _check_directions(labels)
    except (idna.IDNAError, UnicodeError, ValueError):
        return None
    return ".".join(label if label.isascii() else _encoded(label) for label in labels)


def _mapped(domain: str) -> str:
    mapped = idna.uts46_remap(domain[: _LONGEST + 1], std3_rules=False)
    if len(mapped) > _LONGEST:
        raise ValueError
    return mapped


def _decoded(label: str) -> str:
    if label.startswith("xn--"):
        decoded, _ = _PUNYCODE.decode(label.removeprefix("xn--").encode("ascii"))
        if decoded.isascii() or _mapped(decoded) != decoded:
            raise ValueError
        label = decoded
    if not label.isascii():
        _check(label)
    return label


def _encoded(label: str) -> str:
    encoded, _ = _PUNYCODE.encode(label)
    return f"xn--{encoded.decode()}"


def _check(label: str) -> None:
    if label.startswith("xn--") or "." in label or unicodedata.category(label[0]).startswith("M"):
        raise ValueError
    for position, character in enumerate(label):
        if character in "\u200c\u200d" and not idna.core.valid_contextj(label, position):
            raise ValueError


def _check_directions(labels: list[str]) -> None:
    for label in filter(None, labels):
        idna.check_bidi(label, check_ltr=True)
