import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.target import DEFAULT_TEMPLATE, Outgoing
from hairtrigger.targets.template import LONGEST, TooLong, rendered

DATA = {
    "id": "cus_1",
    "name": "Zoë {{type}}",
    "balance": 1.0,
    "paid": True,
    "nothing": None,
    "items": [{"sku": "a"}, {"sku": "b"}],
    "deep": {"er": {"est": 7}},
    "with space": "ok",
}


@pytest.fixture
def event(outgoing: Outgoing) -> Outgoing:
    return replace(outgoing, body=json.dumps(DATA).encode())


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello", "Hello"),
        ("{{type}}", "stripe.on_customer_created"),
        ("{{ type }}/{{type}}", "stripe.on_customer_created/stripe.on_customer_created"),
        ("{{data.id}}", "cus_1"),
        ("{{ data.balance }} {{data.paid}}", "1.0 true"),
        ("{{data.items.1.sku}}", "b"),
        ("{{data.items}}", '[{"sku": "a"}, {"sku": "b"}]'),
        ("{{data.deep.er.est}}", "7"),
        ("{{data.with space}}", "ok"),
        ("{{data.name}}", "Zoë {{type}}"),  # the text of an event is not read as a template
        ("<{{data.nothing}}{{data.nope}}{{data.items.9}}{{data.items.x}}{{data.id.x}}{{data.}}{{nope}}{{}}>", "<>"),
        ("{{data.__class__}}{{event.__class__}}{{data.items.__len__}}{{type.upper}}{{data.items.-1}}", ""),
        ("{{7*7}}{{''.join}}{% for %}", "{% for %}"),
        ("{type} { {type} } {{{type}}}", "{type} { {type} } {stripe.on_customer_created}"),
    ],
)
def test_placeholders_are_filled_and_what_is_unknown_leaves_nothing(template: str, text: str, event: Outgoing) -> None:
    assert rendered(template, event) == text


def test_the_whole_event_is_readable_json(event: Outgoing) -> None:
    text = rendered("{{event}}", event)

    assert json.loads(text) == DATA
    assert '\n  "name": "Zoë' in text


def test_the_default_template_names_what_happened_and_when(event: Outgoing) -> None:
    text = rendered(DEFAULT_TEMPLATE, event)

    assert text.startswith(f"stripe.on_customer_created happened at {event.time.isoformat()}.\n\n{{")


def test_an_event_that_is_not_json_is_shown_as_text(outgoing: Outgoing) -> None:
    form = replace(outgoing, content_type="application/x-www-form-urlencoded", body=b"a=1\xff")

    assert rendered("{{event}}|{{data.a}}", form) == "a=1\ufffd|"


@given(template=st.text(alphabet="{} .adtevn0\n", max_size=2000) | st.integers(1, 20_000).map(lambda n: "{{" + " " * n))
def test_any_template_is_rendered(template: str, event: Outgoing) -> None:
    assert isinstance(rendered(template, event), str)


def of(outgoing: Outgoing, body: bytes) -> Outgoing:
    return replace(outgoing, body=body, content_type="application/json")


NESTED = b"[" * 190 + b"1," * 500_000 + b"1" + b"]" * 190  # it takes 190 MB if each part has its own line


@pytest.mark.parametrize("body", [NESTED, b"[" + b"[]," * 300_000 + b"[]]"], ids=["deep", "many"])
def test_an_event_of_very_many_parts_stands_as_it_came(outgoing: Outgoing, body: bytes) -> None:
    assert rendered("{{event}}", of(outgoing, body)) == body.decode()


@pytest.mark.parametrize("placeholder", ["{{event}}", "{{data}}", "{{data.0}}", "{{ type }}{{event}}"])
def test_a_template_that_makes_too_much_of_an_event_is_refused(outgoing: Outgoing, placeholder: str) -> None:
    body = json.dumps(["x" * 1_000_000]).encode()
    often = 100_000 // len(placeholder)

    with pytest.raises(TooLong):
        rendered(placeholder * often, of(outgoing, body))
    assert len(rendered(placeholder * 3, of(outgoing, body))) < LONGEST


def test_a_place_in_a_list_that_is_no_number_leaves_nothing(outgoing: Outgoing) -> None:
    for step in ("1" * 90_000, "\u0661", "-1"):  # more digits than int() takes; a digit that is not ASCII
        assert rendered(f"<{{{{data.{step}}}}}>", of(outgoing, b"[1, 2]")) == "<>"
