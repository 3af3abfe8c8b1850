"""Values in the image have no reference counts. They must never be freed, nor be treated as if they had one owner.

Values that a poll makes have reference counts, so they must not be placed in the image.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from hairtrigger.sandbox.protocol.poll import DEFAULT_LIMITS
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import returned

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def sandbox(compiled: bytes) -> AsyncIterator[Sandbox]:
    limits = replace(DEFAULT_LIMITS, cpu=timedelta(minutes=1))  # the polls do very much, on machines of any speed
    async with Sandbox.start(workers=1, limits=limits, compiled=compiled) as started:
        yield started


async def test_text_of_the_image_that_is_added_to_stays_as_it_was(sandbox: Sandbox) -> None:
    code = """
        const names = Object.getOwnPropertyNames(globalThis).filter((name) => typeof globalThis[name] === "function");
        const before = names.join();
        for (const name of names) {
          let text = globalThis[name].name;
          for (let i = 0; i < 20; i++) text += "x" + i;
          let key = name;
          key += "_";
        }
        return [names.length > 50, names.every((name) => globalThis[name].name === name), names.join() === before];
    """

    assert await returned(sandbox, code) == [True, True, True]


async def test_objects_of_the_image_change_as_any_others(sandbox: Sandbox) -> None:
    code = """
        const keys = () => [Object.keys(Headers.prototype).length, Object.keys(Response.prototype).length];
        const before = keys();
        for (let i = 0; i < 300; i++) Headers.prototype["p" + i] = { i };
        const added = keys();
        for (let i = 0; i < 300; i++) delete Headers.prototype["p" + i];
        const plain = { a: 1 };
        Object.prototype.b = 2;
        const inherited = plain.b;
        delete Object.prototype.b;
        const differences = added.map((count, place) => count - before[place]);
        return [...differences, String(keys()) === String(before), inherited, plain.b === undefined];
    """

    assert await returned(sandbox, code) == [300, 0, True, 2, True]


async def test_collecting_garbage_takes_nothing_of_the_image(sandbox: Sandbox) -> None:
    """Make cycles beyond the threshold of a collection; replaced parts of the image hold some of them."""
    code = """
        const kept = globalThis.structuredClone;
        let dropped = 0;
        const registry = new FinalizationRegistry(() => dropped++);
        for (let round = 0; round < 20; round++) {
          globalThis.structuredClone = () => round;
          registry.register(globalThis.structuredClone);
          for (let i = 0; i < 2500; i++) {
            const one = { text: new Array(20).fill(i) };
            one.itself = [one, kept, Response];
          }
          await null;
        }
        const response = new Response(JSON.stringify({ a: [1, "é"] }));
        const clone = kept(await response.json());
        const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("a"));
        return [clone, new Uint8Array(digest)[0], new URL("../b", "https://a.example/c/d").href, dropped > 0];
    """

    assert await returned(sandbox, code) == [{"a": [1, "é"]}, 0xCA, "https://a.example/b", True]


async def test_what_is_taken_from_the_image_takes_nothing_else_along(sandbox: Sandbox) -> None:
    """If the shared count were low, the loss of so many references would bring it to zero."""
    code = """
        const owners = [Date.prototype, DataView.prototype, WeakMap.prototype, Date];
        let gone = 0;
        for (const owner of owners) for (const key of Reflect.ownKeys(owner)) gone += delete owner[key];
        const items = await new Response(JSON.stringify([{ a: "é" }])).json();
        return [items, new URL("../b", "https://a.example/c/d").href, gone > 80];
    """

    assert await returned(sandbox, code) == [[{"a": "é"}], "https://a.example/b", True]


async def test_what_a_poll_makes_is_not_laid_into_the_image(sandbox: Sandbox) -> None:
    """There nothing is counted, and a shape that seems to be shared is copied for every property that is added.

    The names make tables of the image grow, which leaves free room in the image.
    """
    code = """
        const all = {};
        for (let i = 0; i < 5000; i++) all["name" + i] = i;
        return [Object.keys(all).length, all.name4999];
    """

    assert await returned(sandbox, code) == [5000, 4999]
