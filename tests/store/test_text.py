import json
import math
from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from hairtrigger.store.database import Store
from hairtrigger.store.text import storable_json

pytestmark = pytest.mark.anyio

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.sampled_from(["\\u0000", "\\\0", "\\\\\0"]),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
)


@given(ANY_JSON)
def test_any_value_is_json_without_what_the_database_refuses(value: object) -> None:
    made = storable_json(value)

    read = json.loads(made.encode(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert all("\0" not in one for one in texts_in(read))


def texts_in(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            yield from chain.from_iterable(map(texts_in, value))
        case dict():
            yield from chain.from_iterable(map(texts_in, (*value, *value.values())))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_ordinary_text_stays_as_it_is(ordinary: str) -> None:
    assert json.loads(storable_json({ordinary: [ordinary]})) == {ordinary: [ordinary]}


async def test_the_database_takes_the_oddest_values(store: Store) -> None:
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    odd = {
        "a\0\ud800": ["\0", "\\u0000", "\\\0", "\udc00\ud83d", "\U0001f600"],
        "numbers": [10**4000, -0.0, 1e308, 5e-324, math.nan, math.inf, -math.inf],
        "deep": deep,
        "long": "x" * 3_000_000,
    }
    async with store.transaction() as tx:
        kept = (
            await tx.connection.execute(text("SELECT CAST(:odd AS jsonb)"), {"odd": storable_json(odd)})
        ).scalar_one()

    assert kept["a?"] == ["", "\\u0000", "\\", "??", "\U0001f600"]
    assert kept["numbers"] == [10**4000, 0, 10**308, 5e-324, None, None, None]
    assert (kept["deep"], len(kept["long"])) == (deep, 3_000_000)
