"""Names for machines, made from names for people."""

import re
import unicodedata
from collections.abc import Container
from itertools import count


def kebab(text: str, fallback: str = "trigger") -> str:
    """`New Issue Created` is `new-issue-created`. Only ASCII; `fallback` where nothing of it is left."""
    return "-".join(re.findall("[a-z0-9]+", _folded(text))) or fallback


def camel(label: str, fallback: str = "field") -> str:
    """`Project ID` is `projectId`. Letters of other scripts stay, or two labels in one of them would be the same."""
    first, *others = _words(label) or [fallback]
    return first + "".join(word.capitalize() for word in others)


def snake(label: str, fallback: str = "field") -> str:
    """`Project ID` is `project_id`."""
    return "_".join(_words(label)) or fallback


def unused(slug: str, used: Container[str]) -> str:
    """The slug itself, or `slug-2`, `slug-3` and so on: the first that is free."""
    if slug not in used:
        return slug
    return next(numbered for n in count(2) if (numbered := f"{slug}-{n}") not in used)


def utf16_length(text: str) -> int:
    """The length as JavaScript counts it: most characters are one unit, an emoji is two or more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _words(text: str) -> list[str]:
    """In lower case. Marks belong to their letters: without them words of many scripts would fall apart."""
    kept = "".join(c if c.isalnum() or _is_mark(c) else " " for c in unicodedata.normalize("NFKC", text.lower()))
    return [word for word in kept.split() if not all(map(_is_mark, word))]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _folded(text: str) -> str:
    """Lower case, without accents: what is left of `É` is `e`."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
