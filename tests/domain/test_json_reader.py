"""JSON of strangers is read as far as the event loop can bear it."""

import pytest

from hairtrigger.domain.json_reader import MOST_PARTS, TooManyParts, read_json


@pytest.mark.parametrize("part", [b"[]", b"{}", b'{"a":{}}', b'{"a":1}'])
def test_json_of_very_many_parts_is_not_read(part: bytes) -> None:
    with pytest.raises(TooManyParts, match="too many arrays"):
        read_json(b"[" + b",".join([part] * MOST_PARTS) + b"]")


def test_as_many_parts_as_allowed_are_read() -> None:
    assert read_json(b"[" + b",".join([b"[]"] * (MOST_PARTS - 1)) + b"]") == [[]] * (MOST_PARTS - 1)


def test_texts_are_no_parts() -> None:
    assert read_json(b'["' + b"x" * 3 * MOST_PARTS + b'"]') == ["x" * 3 * MOST_PARTS]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN1"])
def test_what_is_not_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(body)
