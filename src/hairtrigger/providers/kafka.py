"""The provider for Kafka: records of a topic. The trigger's own offsets decide, and no consumer group is needed.

https://kafka.apache.org/documentation/#theconsumer
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition, errors
from pydantic import Field

from hairtrigger import kit

_AT_ONCE = 200  # records
_WAIT = 5000  # milliseconds for which the brokers hold a question that has no answer yet


class Topic(kit.Config):
    topic: str = Field(min_length=1, max_length=249, title="Topic")
    security: Literal["SASL_SSL", "SSL", "SASL_PLAINTEXT", "PLAINTEXT"] = Field(
        default="SASL_SSL", title="Security protocol"
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(default="PLAIN", title="SASL mechanism")


@asynccontextmanager
async def _connected(question: kit.Question[Topic]) -> AsyncIterator["AIOKafkaConsumer"]:
    config, held = question.config, question.secrets
    consumer = AIOKafkaConsumer(
        bootstrap_servers=[one.strip() for one in held["servers"].split(",")],
        client_id="hairtrigger",
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        metadata_max_age_ms=60_000,
        request_timeout_ms=20_000,
        security_protocol=config.security,
        ssl_context=question.tls(held.get("authorities", "")) if config.security.endswith("SSL") else None,
        sasl_mechanism=config.mechanism,
        sasl_plain_username=held.get("user") or None,
        sasl_plain_password=held.get("password") or None,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _partitions(consumer: "AIOKafkaConsumer", topic: str) -> list[TopicPartition]:
    await consumer.topics()  # asks for the topics anew
    known = consumer.partitions_for_topic(topic)
    if not known:
        raise kit.ProviderFailed(f"There is no topic '{topic}', or the user may not read it.")
    return [TopicPartition(topic, number) for number in sorted(known)]


async def _ends(question: kit.Question[Topic]) -> kit.Cursor:
    async with _connected(question) as consumer:
        ends = await consumer.end_offsets(await _partitions(consumer, question.config.topic))
    return {"offsets": {str(one.partition): offset for one, offset in ends.items()}}


async def _records(question: kit.Question[Topic]) -> AsyncGenerator[kit.Page, None]:
    topic = question.config.topic
    offsets: dict[str, int] = dict((question.cursor or {})["offsets"])
    async with _connected(question) as consumer:
        partitions = await _partitions(consumer, topic)
        gaps = await _placed(consumer, partitions, offsets)
        yield kit.Page((), {"offsets": dict(offsets)}, gap=" ".join(gaps))
        while True:
            found = await consumer.getmany(timeout_ms=_WAIT, max_records=_AT_ONCE)
            drafts, large = [], 0
            for partition, records in found.items():
                offsets[str(partition.partition)] = records[-1].offset + 1
                bodies = [(one, _body(one)) for one in records]
                large += sum(body is None for _, body in bodies)
                drafts += [_draft(one, body) for one, body in bodies if body is not None]
            if not found:
                await _check(consumer, partitions, offsets)
            yield kit.Page(drafts, {"offsets": dict(offsets)}, refused=large, note=kit.messages.told(large))


async def _placed(consumer: "AIOKafkaConsumer", partitions: list[TopicPartition], offsets: dict[str, int]) -> list[str]:
    """Set the consumer and `offsets` to where the trigger goes on, and return a sentence on each gap.

    A partition that is new is read from its beginning.
    """
    consumer.assign(partitions)
    first, last = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    gaps = []
    for one in partitions:
        number = str(one.partition)
        wanted = offsets.get(number, first[one])
        if wanted < first[one]:
            gaps.append(f"Partition {number} begins at {first[one]}, and {wanted} was due.")
        elif wanted > last[one]:
            gaps.append(f"Partition {number} ends at {last[one]}, before {wanted}: the topic was made anew.")
        offsets[number] = wanted if first[one] <= wanted <= last[one] else first[one]
        consumer.seek(one, offsets[number])
    return gaps


async def _check(consumer: "AIOKafkaConsumer", partitions: list[TopicPartition], offsets: dict[str, int]) -> None:
    """Ask the brokers for the ends of the partitions: the library says nothing when its brokers are away.

    Raise `ProviderFailed` if the topic was made anew or has further partitions. The next connection goes on with them.
    """
    last = await consumer.end_offsets(partitions)
    if any(offsets[str(one.partition)] > offset for one, offset in last.items()):
        raise kit.ProviderFailed("The topic was made anew.")
    if len(consumer.partitions_for_topic(partitions[0].topic) or ()) != len(partitions):
        raise kit.ProviderFailed("The topic has other partitions than before.")


def _body(one: "ConsumerRecord[bytes, bytes]") -> bytes | None:
    return kit.messages.message(
        one.value or b"null",
        topic=one.topic,
        partition=one.partition,
        offset=one.offset,
        timestamp=one.timestamp,
        key=kit.messages.text(one.key),
        headers={name: kit.messages.text(value) for name, value in one.headers},
    )


def _draft(one: "ConsumerRecord[bytes, bytes]", body: bytes) -> kit.Draft:
    at = datetime.fromtimestamp(one.timestamp / 1000, UTC) if one.timestamp > 0 else None
    # The time tells the records of a topic that was made anew from those of the old one, whose offsets were the same.
    key = f"{one.topic}/{one.partition}/{one.offset}/{one.timestamp}"
    return kit.Draft(key, body, subject=kit.messages.text(one.key), occurred_at=at)


provider = kit.Provider(
    id="kafka",
    name="Kafka",
    icon="🪵",
    auth=kit.NoAuth(("servers",)),
    optional=("user", "password", "authorities"),
    labels={"servers": "Bootstrap servers", "authorities": "Certificates of its authority (PEM)"},
    guide="The bootstrap servers are written as host:9092,host:9092. The user needs the right to read and to describe "
    "the topic. The position is kept with the events, and the trigger joins no consumer group. The key of an event is "
    "the topic, the partition, the offset and the time of the record.",
    triggers=(
        kit.Listening(
            id="on_record",
            name="Record",
            description="A record was written to a topic.",
            config=Topic,
            listen=_records,
            start=_ends,
            errors=(errors.KafkaError,),
            refusals=(errors.AuthenticationFailedError, errors.TopicAuthorizationFailedError),
        ),
    ),
)
