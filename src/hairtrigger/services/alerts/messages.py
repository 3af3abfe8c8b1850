"""Make the messages that tell people of operational events, as e-mail and as the JSON that chat webhooks take.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/
https://discord.com/developers/docs/resources/webhook#execute-webhook
https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Literal

from pydantic_core import to_json

from hairtrigger.domain.alert_channel import Kind
from hairtrigger.store.alerts.operational_events import Recorded

_MOST_LINES = 15
_LONGEST_LINE = 500
_LONGEST_TITLE = 150
_MOST_IN_DISCORD = 2000  # characters of a message


@dataclass(frozen=True)
class Message:
    """A message to people that has no format of a channel yet."""

    title: str
    lines: Sequence[str]
    footer: str

    @property
    def text(self) -> str:
        return "\n".join((self.title, *self.lines, self.footer))


def message_of(alerts: Sequence[Recorded], waiting: int, url: str) -> Message:
    """Return the message that tells of these alerts, which are the oldest of the `waiting` alerts of a channel.

    `url` is the address of the service.
    """
    lines = [_line(one) for one in alerts[:_MOST_LINES]]
    if more := waiting - len(lines):
        lines.append(f"And {more} more.")
    if waiting == 1:
        title = f"{alerts[0].type}: {_about(alerts[0])}"
    else:
        problems = sum(one.type.severity == "problem" for one in alerts)
        title = f"{waiting} operational events, {problems if waiting == len(alerts) else 'some'} of them problems"
    return Message(_cut(title, _LONGEST_TITLE), lines, f"All of them: GET {url}/v1/operational-events")


def test_message(url: str, now: datetime) -> Message:
    """Return the message of a test that was asked for at `now`. `url` is the address of the service."""
    said = f"This is a test of an alert channel, asked for at {_time(now)}. Nothing happened."
    return Message("Test of an alert channel", [said], f"The service: {url}")


def _line(one: Recorded) -> str:
    return _cut(f"{_time(one.at)} {one.type}: {_about(one)}. {one.sentence}", _LONGEST_LINE)


def _about(one: Recorded) -> str:
    """Return the names of the trigger and the project that an event is about."""
    trigger, project = one.data.get("trigger"), one.data.get("project")
    of_project = f"project '{project['name'] or project['id']}'" if project else ""
    if not trigger:
        return of_project or "the organisation"
    name = f"'{trigger['name']}'" if trigger["name"] else f"{trigger['provider_id']}.{trigger['trigger_id']}"
    return f"trigger {name} ({trigger['id']})" + (f" of {of_project}" if of_project else "")


def _time(at: datetime) -> str:
    return format(at.astimezone(UTC), "%Y-%m-%d %H:%M:%S UTC")


def _cut(text: str, longest: int) -> str:
    """Return the text as one line, cut to `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def email_of(message: Message, recipients: Sequence[str], sent_at: datetime, message_id: str) -> EmailMessage:
    """Return the message as an e-mail to these recipients, without a sender."""
    made = EmailMessage(SMTP)
    made["To"] = [Address(addr_spec=one) for one in recipients]
    made["Subject"] = f"[hairtrigger] {message.title}"
    made["Date"] = format_datetime(sent_at)
    made["Message-ID"] = message_id
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answer comes back
    made.set_content("\n\n".join((*message.lines, message.footer)) + "\n", cte="quoted-printable")
    return made


def chat_of(kind: Literal[Kind.SLACK, Kind.DISCORD, Kind.TEAMS], message: Message) -> bytes:
    """Return the message as the JSON that this kind of chat takes.

    The message holds texts of strangers. The chat shows them as they are, so that nothing in them makes links or calls
    people.
    """
    body: dict[str, Any]
    match kind:
        case Kind.SLACK:
            escaped = message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            blocks = [{"type": "section", "text": {"type": "plain_text", "text": escaped[:3000], "emoji": False}}]
            body = {"text": escaped, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}
        case Kind.DISCORD:
            text = message.text.replace("```", "'''")
            text = text if len(text) <= _MOST_IN_DISCORD - 10 else f"{text[: _MOST_IN_DISCORD - 11]}…"
            body = {"content": f"```\n{text}\n```", "allowed_mentions": {"parse": []}}
        case Kind.TEAMS:
            body = {"type": "message", "attachments": [_card(message)]}
    return to_json(body)


def _card(message: Message) -> dict[str, Any]:
    """Return an Adaptive Card. Text runs show text as it is; a TextBlock would read it as Markdown."""
    texts = [(message.title, "bolder"), *((line, "default") for line in (*message.lines, message.footer))]
    rows = [
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, "weight": weight}]}
        for text, weight in texts
    ]
    schema = "http://adaptivecards.io/schemas/adaptive-card.json"
    content = {"$schema": schema, "type": "AdaptiveCard", "version": "1.4", "body": rows}
    return {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}
