"""A target that is an agent behind an API like OpenAI's. Each attempt opens a conversation, to which the agent's answer
is added.

https://platform.openai.com/docs/api-reference/chat/create
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.target import AgentTarget, Outgoing, Sent
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.egress import Egress, EgressFailed, Reply
from hairtrigger.targets.answers import KEPT, aside, marks, oddity, unreachable, unsuccessful
from hairtrigger.targets.completion import Unreadable, message_in
from hairtrigger.targets.credentials import own_headers
from hairtrigger.targets.template import TooLong, rendered

_PATH = "/chat/completions"


@dataclass(frozen=True)
class Agent:
    config: AgentTarget
    egress: Egress
    clock: Clock
    api_key: str | None = field(default=None, repr=False)

    _own: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", own_headers(self.config, self.api_key))

    async def send(self, outgoing: Outgoing) -> Sent:
        try:
            messages = _opening(self.config, outgoing)
        except TooLong as error:
            return Sent("failed", None, str(error.__doc__), failure=Failure.TOO_LONG)
        request = {"model": self.config.model, "messages": messages, "user": str(outgoing.delivery_id)}
        try:
            reply = await self.egress.send(
                "POST",
                completions_url(self.config.base_url),
                headers=self._headers(outgoing),
                body=json.dumps(request).encode(),
                timeout=timedelta(seconds=self.config.timeout_seconds),
                cut=True,
            )
        except EgressFailed as failure:
            return unreachable(failure)
        if reply.status not in range(200, 300):
            return unsuccessful(reply, self.clock.now())
        return await self._conversed(messages, reply)

    async def _conversed(self, messages: list[dict[str, Any]], reply: Reply) -> Sent:
        """Return the result of an attempt that was answered with 2xx.

        The result is `delivered` even if no message can be read, because the agent has run and must not run again.
        """
        kept, wrong = reply.body[:KEPT], oddity(reply)
        try:
            message = await message_in(reply, self.egress.turn)
        except Unreadable as error:
            why = f"{wrong}, and {error}" if wrong else str(error)
            detail = f"The agent answered {reply.status}, but no message can be read: {why}."
            return Sent("delivered", reply.status, detail, response=kept)
        detail = f"The agent answered, but {wrong}." if wrong else _answered(message)
        return Sent("delivered", reply.status, detail + aside(reply), response=kept, conversation=[*messages, message])

    def _headers(self, outgoing: Outgoing) -> dict[str, str]:
        own = {"content-type": "application/json", "idempotency-key": str(outgoing.delivery_id)}
        return {**self._own} | own | marks(outgoing)


def completions_url(base_url: str) -> str:
    """Return the address of the chat completions below `base_url`. If `base_url` ends with the path of the chat
    completions already, its path stays.

    The query stays, too, because Azure needs one (`?api-version=…`).
    """
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/").removesuffix(_PATH) + _PATH
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _opening(config: AgentTarget, outgoing: Outgoing) -> list[dict[str, Any]]:
    asked = {"role": "user", "content": rendered(config.template, outgoing)}
    return [{"role": "system", "content": config.system_prompt}, asked] if config.system_prompt else [asked]


def _answered(message: dict[str, Any]) -> str:
    if "tool_calls" in message or "function_call" in message:
        return "The agent answered. It asks for tools to be called, which is not done here."
    if message["role"] != "assistant":
        return "The agent answered, but not in the role of the assistant."
    return "The agent answered."
