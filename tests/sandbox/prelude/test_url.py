"""URL and URLSearchParams beyond the Web Platform Tests: shortcuts give the same results as the full parser."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.sandbox.worker.domains import to_ascii
from tests.sandbox.programs import nowhere, program, returned
from tests.support.node import run

pytestmark = pytest.mark.anyio

PARTS = ("href", "origin", "protocol", "username", "host", "port", "pathname", "search", "hash")

# URLs near the border between those that are taken as they are and those that are parsed.
NEARLY_PLAIN = [
    "https://api.example.com",
    "https://api.example.com/",
    "https://api.example.com:443/a",
    "https://api.example.com:80/a",
    "http://api.example.com:80/a",
    "https://api.example.com:0/a",
    "https://api.example.com:0443/a",
    "https://api.example.com:65535/a",
    "https://api.example.com:65536/a",
    "https://api.example.com:99999/a",
    "https://api.example.com/a/../b",
    "https://api.example.com/a/%2E%2e/b",
    "https://api.example.com/a/.%2E",
    "https://api.example.com/a/.b/..c",
    "https://api.example.com//a//b//",
    "https://api.example.com?",
    "https://api.example.com?#",
    "https://api.example.com?a=b?c'd",
    "https://api.example.com/?a=[b]{c}|^`\\",
    "https://api.example.com/#a`b#c",
    "https://api.example.com/{a}|b^c",
    "https://api.example.com/a\\b",
    "https://api.example.com/%zz%",
    "https://API.example.com/",
    "https://example.com./",
    "https://1.2.3",
    "https://example.1",
    "https://0x7f.1",
    "https://a.0x7f",
    "https://-a-.b-/",
    "https://a_b.example",
    "https://a..b",
    "https://.a",
    "https://xn--zca.example",
    "https://user@example.com",
    "https://:@example.com",
    " https://example.com/a ",
    "https://example.com/a b",
    "https://example.com/a\nb",
    "HTTPS://example.com",
    "https:/example.com",
    "https:\\\\example.com",
    "ftp://example.com:21/",
]


async def test_a_url_of_any_shape_is_what_node_makes_of_it(sandbox: Sandbox, tmp_path: Path) -> None:
    code = f"""
      const parts = {json.dumps(PARTS)};
      const read = (text) => {{
        try {{
          const url = new URL(text);
          return parts.map((part) => url[part]);
        }} catch {{
          return null;
        }}
      }};"""
    ours = await returned(sandbox, f"{code} return inputs.urls.map(read)", inputs={"urls": NEARLY_PLAIN})

    theirs = run(
        tmp_path,
        f"{code} console.log(JSON.stringify(JSON.parse(process.argv[2]).map(read)))",
        *[json.dumps(NEARLY_PLAIN)],
    )

    assert dict(zip(NEARLY_PLAIN, ours, strict=True)) == dict(zip(NEARLY_PLAIN, theirs, strict=True))


async def test_parameters_and_address_follow_each_other(sandbox: Sandbox) -> None:
    code = """
      const url = new URL("https://example.com/a?x=1&x=2&y=3");
      const { searchParams } = url;
      searchParams.delete("x", "1");
      const first = url.href;
      url.search = "?z=%20";
      searchParams.append("é", "&");
      const second = url.href;
      for (const name of ["z", "é"]) searchParams.delete(name);
      const { href } = url;
      return [first, second, href, searchParams.has("x", "2"), searchParams.size, url.searchParams === searchParams];
    """

    assert await returned(sandbox, code) == [
        "https://example.com/a?x=2&y=3",
        "https://example.com/a?z=+&%C3%A9=%26",
        "https://example.com/a",
        False,
        0,
        True,
    ]


async def test_a_name_outside_of_ascii_is_mapped_within_the_walls(sandbox: Sandbox) -> None:
    code = """
      const host = (name) => URL.parse(`https://${name}/`)?.host ?? null;
      return inputs.names.map(host);
    """

    names = ["Bücher.example", "faß.de", "日本語。jp", "ab\u00adc.de", "\u00ad", "a\u2488.ru", "א.1a", "xn--é"]

    assert await returned(sandbox, code, inputs={"names": names}) == [
        "xn--bcher-kva.example", "xn--fa-hia.de", "xn--wgv71a119e.jp", "abc.de", None, None, None, None,
    ]  # fmt: skip


async def test_a_name_that_is_hard_to_check_takes_no_more_than_its_poll_may(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(program("return [URL.canParse(`https://${'\\u0308é.'.repeat(1e5)}`)]"), nowhere)

    assert outcome.value == [False]


@given(st.text(max_size=40) | st.text(alphabet="xn-aü.\u05d0\u0661\u200d\u0308", max_size=12))
def test_any_text_is_a_name_or_is_none(text: str) -> None:
    name = to_ascii(text)

    assert name is None or name.isascii()
