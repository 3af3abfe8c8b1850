"""Attacks without harm: only the victim works, or the attacker does ordinary things.

They come first. The service creates then what it needs at first use, and the limits are seen to hold without an attack.
"""

from tests.attacks.attack import Attack, Limits
from tests.attacks.attacker import Attacker
from tests.support.servers import answering


async def _a_little_of_everything(attacker: Attacker) -> None:
    feed = b'<rss version="2.0"><channel><title>Calm</title><item><guid>1</guid></item></channel></rss>'
    page = attacker.serve(answering(200, b"[]", ("Content-Type", "application/json")))
    polled = await attacker.poll_feed(answering(200, feed))
    assert polled["code"] == "accepted", polled
    ran = await attacker.run(f"return await (await fetch({page!r})).json()")
    assert ran["error"] is None, ran
    polled = await attacker.poll_code("return await (await fetch(inputs.address)).json()", page)
    assert polled["code"] == "empty", polled
    delivered = await attacker.deliver({"kind": "workflow", "url": attacker.serve(answering())})
    assert delivered["status"] == "delivered", delivered
    form = {"username": "calm@example.com", "password": "wrong"}
    await attacker.ask("POST", "/token", data=form, status=(400, 401))


async def _nothing(_: Attacker) -> None:
    pass


WARMING_UP = Attack("a little of everything, for the first time", "-", _a_little_of_everything, Limits(pause=1.0))
AFTERWARDS = Attack("nothing, afterwards", "-", _nothing)
ATTACKS = (
    Attack("a little of everything", "-", _a_little_of_everything, short=True),
    Attack("nothing", "-", _nothing, short=True),
)
