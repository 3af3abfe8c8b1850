"""An agent behind an API like OpenAI's: each event opens a conversation, and the agent's answer is its second message.

https://platform.openai.com/docs/api-reference/chat/create
"""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.target import AgentTarget, Outgoing, Sent
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.egress import Egress, EgressFailed, Reply
from hairtrigger.targets.answers import KEPT, unreachable, unsuccessful
from hairtrigger.targets.template import TooLong, rendered


class _Message(BaseModel):
    role: Literal["assistant"]
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message


class _Answer(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


@dataclass(frozen=True)
class Agent:
    config: AgentTarget
    egress: Egress
    clock: Clock
    api_key: str | None = field(default=None, repr=False)

    async def send(self, outgoing: Outgoing) -> Sent:
        try:
            messages = _opening(self.config, outgoing)
        except TooLong as error:
            return Sent("failed", None, str(error.__doc__), failure=Failure.TOO_LONG)
        request = {"model": self.config.model, "messages": messages, "user": str(outgoing.delivery_id)}
        try:
            reply = await self.egress.send(
                "POST",
                f"{self.config.base_url.rstrip('/')}/chat/completions",
                headers=self._headers(outgoing),
                body=json.dumps(request).encode(),
                timeout=timedelta(seconds=self.config.timeout_seconds),
            )
        except EgressFailed as failure:
            return unreachable(failure)
        if reply.status not in range(200, 300):
            return unsuccessful(reply, self.clock.now())
        return _conversed(messages, reply)

    def _headers(self, outgoing: Outgoing) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "idempotency-key": str(outgoing.delivery_id),
            "traceparent": outgoing.traceparent,
            "authorization": self.api_key and f"Bearer {self.api_key}",
        }
        return {name: value for name, value in headers.items() if value is not None}


def _opening(config: AgentTarget, outgoing: Outgoing) -> list[dict[str, Any]]:
    asked = {"role": "user", "content": rendered(config.template, outgoing)}
    return [{"role": "system", "content": config.system_prompt}, asked] if config.system_prompt else [asked]


def _conversed(messages: list[dict[str, Any]], reply: Reply) -> Sent:
    try:
        said = _Answer.model_validate_json(reply.body).choices[0].message
    except ValidationError as error:
        return _unreadable(reply, f"The agent's answer can't be read: {_first(error)}.")
    content = said.refusal if said.content is None else said.content
    if content is None:
        return _unreadable(reply, "The agent's answer holds no message.")
    conversation = [*messages, {"role": "assistant", "content": content}]
    return Sent("delivered", reply.status, "The agent answered.", response=reply.body[:KEPT], conversation=conversation)


def _unreadable(reply: Reply, detail: str) -> Sent:
    return Sent("failed", reply.status, detail, response=reply.body[:KEPT], failure=Failure.UNREADABLE)


def _first(error: ValidationError) -> str:
    """Where the answer is wrong and how, without what it says there."""
    found = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(step) for step in found["loc"])
    return f"{place}: {found['msg']}" if place else found["msg"]
