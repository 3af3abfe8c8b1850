"""The provider for NATS JetStream: messages of a stream, which are acknowledged after they are stored.

https://docs.nats.io/nats-concepts/jetstream/consumers
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError
from pydantic import Field

from hairtrigger import kit

_AT_ONCE = 100  # messages
_PATIENCE = 20  # seconds without a message, after which a sign of life is given
_FORGOTTEN = 7 * 86_400.0  # seconds after which the server removes the consumer of a trigger that is away


class Stream(kit.Config):
    stream: str = Field(min_length=1, title="Stream")
    subject: str | None = Field(
        default=None, min_length=1, title="Subject", description="Such as orders.>; all if empty."
    )


async def _ignored(_: Exception) -> None:
    """Return None: what fails is raised to the listener as well."""


@asynccontextmanager
async def _connected(question: kit.Question[Stream]) -> AsyncIterator[tuple[Client, JetStreamContext]]:
    server = kit.messages.Server.of(question.secrets["url"], "nats", "tls", 4222)
    client = Client()
    named = {"user": server.user, "password": server.password} if server.password else {"token": server.user or None}
    try:
        await client.connect(
            [f"{'tls' if server.encrypted else 'nats'}://{server.host}:{server.port}"],
            error_cb=_ignored,
            name="hairtrigger",
            allow_reconnect=False,  # the service connects again
            connect_timeout=10,
            tls=question.tls(question.secrets.get("authorities", "")) if server.encrypted else None,
            tls_hostname=server.host if server.encrypted else None,
            **named,
        )
    except nats.errors.Error as error:
        if "uthorization" in str(error):
            raise kit.CredentialsRefused("The server does not accept the user and password, or the token.") from error
        raise
    try:
        yield client, client.jetstream()
    finally:
        await client.close()


def _made(info: StreamInfo) -> str:
    """Return when the stream was made: one of the same name that is made later counts its messages anew."""
    return info.created.isoformat() if info.created else ""


async def _last(question: kit.Question[Stream]) -> kit.Cursor:
    async with _connected(question) as (_, stream):
        info = await stream.stream_info(question.config.stream)
    return {"sequence": info.state.last_seq, "made": _made(info)}


async def _messages(question: kit.Question[Stream]) -> AsyncGenerator[kit.Page, None]:
    config, cursor = question.config, dict(question.cursor or {})
    async with _connected(question) as (client, stream):
        info = await stream.stream_info(config.stream)
        made, gap = _made(info), ""
        if made != cursor["made"]:
            gap = "The stream was made anew, and is read from its beginning. What the old one still had is lost."
            cursor = {"sequence": 0, "made": made}
        elif info.config.retention == RetentionPolicy.LIMITS and info.state.first_seq > cursor["sequence"] + 1:
            gap = (
                f"The stream begins at {info.state.first_seq}, and {cursor['sequence']} was the last one that was read."
            )
        name = await _consumer(question, stream, info, cursor["sequence"])
        subscription = await stream.pull_subscribe_bind(consumer=name, stream=config.stream)
        yield kit.Page((), cursor, gap=gap)
        while True:
            try:
                found = await subscription.fetch(_AT_ONCE, timeout=_PATIENCE)
            except nats.errors.TimeoutError:
                await stream.consumer_info(config.stream, name)  # the connection stands, and the consumer exists
                yield kit.Page((), cursor)
                continue
            drafts, large = [], 0
            for one in found:
                sequence = one.metadata.sequence.stream
                cursor = {"sequence": max(sequence, cursor["sequence"]), "made": made}
                body = kit.messages.message(
                    one.data, stream=config.stream, subject=one.subject, sequence=sequence, headers=one.headers or {}
                )
                large += body is None
                if body is not None:
                    key = f"{config.stream}/{made}/{sequence}"
                    drafts.append(kit.Draft(key, body, subject=one.subject, occurred_at=one.metadata.timestamp))
            yield kit.Page(drafts, cursor, refused=large, note=kit.messages.told(large))
            for one in found:
                await one.ack()
            await client.flush()


async def _consumer(question: kit.Question[Stream], stream: JetStreamContext, info: StreamInfo, after: int) -> str:
    """Return the name of the trigger's own consumer, which is made anew at our position.

    An older one would send what a dead worker did not acknowledge only after a minute. In a stream that keeps messages
    for its consumers only, it stays, unless it is ahead of our position.
    """
    config, name = question.config, f"hairtrigger-{question.trigger}"
    try:
        there = await stream.consumer_info(config.stream, name)
    except NotFoundError:
        pass
    else:
        kept = info.config.retention == RetentionPolicy.INTEREST
        behind = there.ack_floor is None or there.ack_floor.stream_seq <= after
        if kept and behind and there.config.filter_subject == config.subject:
            return name
        await stream.delete_consumer(config.stream, name)
    of_all = info.config.retention == RetentionPolicy.WORK_QUEUE  # such a stream permits no other beginning
    await stream.add_consumer(
        config.stream,
        ConsumerConfig(
            durable_name=name,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=60,
            deliver_policy=DeliverPolicy.ALL if of_all else DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=None if of_all else after + 1,
            filter_subject=config.subject,
            inactive_threshold=_FORGOTTEN,
        ),
    )
    return name


provider = kit.Provider(
    id="nats",
    name="NATS JetStream",
    icon="📨",
    auth=kit.NoAuth(("url",)),
    optional=("authorities",),
    labels={"url": "Address", "authorities": "Certificates of its authority (PEM)"},
    guide="The address is nats://user:password@host:4222, or tls:// for an encrypted connection; a token stands in the "
    "place of the user. Each trigger has a durable consumer of its own, which the server removes after a week without "
    "the trigger. The key of an event is the stream, the time at which it was made, and the message's sequence in it. "
    "Core NATS keeps no messages, so only streams are offered.",
    triggers=(
        kit.Listening(
            id="on_message",
            name="Message",
            description="A message came to a stream. It is acknowledged after it is stored.",
            config=Stream,
            listen=_messages,
            start=_last,
            errors=(nats.errors.Error,),
        ),
    ),
)
