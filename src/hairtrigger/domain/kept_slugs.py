"""Keeps the slugs of input fields when the trigger of an integration is replaced.

Project triggers store their values under the slugs. So a new field keeps the slug of the old field as which it is
recognised; with another slug, it would lose its value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, takewhile

from hairtrigger.domain.integration import InputField


def with_kept_slugs(before: Sequence[InputField], after: Sequence[InputField]) -> tuple[InputField, ...]:
    """Return the fields of `after`, each with the slug of the field of `before` as which it is recognised.

    A field that is not recognised keeps its own slug, followed by a number if the slug is taken. A field is recognised
    by an equal label, or else by an equal slug. Of the remaining fields, one is recognised if it has the same type and
    a similar label, or if it stands at the same place and differs in nothing but its label and slug.
    """
    kept = _recognised(before, after)
    taken = set(kept.values())
    fields = []
    for place, one in enumerate(after):
        slug = kept.get(place) or next(name for name in _numbered(one.slug) if name not in taken)
        taken.add(slug)
        fields.append(replace(one, slug=slug))
    return tuple(fields)


def _recognised(before: Sequence[InputField], after: Sequence[InputField]) -> dict[int, str]:
    """Return the slug of the old field for each new field that is recognised. The keys are places in `after`."""
    old = dict(enumerate(before))
    found: dict[int, str] = {}
    for same in (_same_label, _same_slug, _similar, _renamed):
        for place, one in enumerate(after):
            match = None if place in found else next((at for at in old if same(old[at], one, at == place)), None)
            if match is not None:
                found[place] = old.pop(match).slug
    return found


def _same_label(old: InputField, new: InputField, _: bool) -> bool:  # noqa: FBT001
    return old.label == new.label


def _same_slug(old: InputField, new: InputField, _: bool) -> bool:  # noqa: FBT001
    return old.slug == new.slug


def _similar(old: InputField, new: InputField, _: bool) -> bool:  # noqa: FBT001
    """Return whether the types are equal and the labels begin alike, whatever the case of letters.

    The common beginning must be at least half of the longer label, or the whole of the shorter one.
    """
    shorter, longer = sorted((old.label.casefold(), new.label.casefold()), key=len)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(shorter, longer, strict=False)))
    return old.type == new.type and (2 * alike >= len(longer) or alike == len(shorter))


def _renamed(old: InputField, new: InputField, in_place: bool) -> bool:  # noqa: FBT001
    return in_place and replace(old, slug=new.slug, label=new.label) == new


def _numbered(slug: str) -> Iterator[str]:
    yield slug
    for number in count(2):
        yield f"{slug}{number}"
