"""E-mail is sent to a real mail server, with TLS and a login, and never without them where they are asked for."""

import asyncio
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from hairtrigger.platform.mail import MailFailed, MailServer, Tls
from tests.support.certificates import certificate_for
from tests.support.mail import PASSWORD, USER, a_mail_server

pytestmark = pytest.mark.anyio

SENDER = "Alerts <alerts@example.com>"
TEXT = "Line one\n.\n..two dots\nAn ä and a very long line: " + "x" * 2000 + "\n"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_for("localhost", tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


def a_message() -> EmailMessage:
    message = EmailMessage(SMTP)
    message["To"] = "one@example.com"
    message["Subject"] = "Ünexpected"
    message.set_content(TEXT, cte="quoted-printable")
    return message


def server(port: int, tls: Tls, certificate: Path | None, password: str | None = PASSWORD) -> MailServer:
    user = USER if password else None
    return MailServer("localhost", port, tls, SENDER, user, password, certificate)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_message_comes_as_it_is_over_tls_and_with_a_login(
    tls: Tls, context: ssl.SSLContext, certificate: Path
) -> None:
    async with a_mail_server(context, starttls=tls == "starttls", login=True) as box:
        said = await server(box.port, tls, certificate).send(a_message(), ["one@example.com", "two@example.com"])
    [(recipients, message)] = box.taken
    assert said == "The mail server took it: Taken"
    assert recipients == ["one@example.com", "two@example.com"]
    assert (message["From"], message["Subject"]) == (SENDER, "Ünexpected")
    assert message.get_content().replace("\r\n", "\n") == TEXT
    assert (box.over_tls, box.users) == ([True], ["PLAIN"])
    assert max(map(len, box.raw[0].split(b"\r\n"))) <= 998


async def test_a_server_that_only_knows_login_gets_that(context: ssl.SSLContext, certificate: Path) -> None:
    async with a_mail_server(context, starttls=True, login=True, auth_exclude_mechanism=["PLAIN"]) as box:
        await server(box.port, "starttls", certificate).send(a_message(), ["one@example.com"])
    assert box.users == ["LOGIN"]


async def test_without_tls_and_login_a_message_is_taken_too() -> None:
    async with a_mail_server() as box:
        await server(box.port, "none", None, password=None).send(a_message(), ["one@example.com"])
    assert box.over_tls == [False]


async def test_a_wrong_password_is_told(context: ssl.SSLContext, certificate: Path) -> None:
    async with a_mail_server(context, starttls=True, login=True) as box:
        with pytest.raises(MailFailed, match="535"):
            await server(box.port, "starttls", certificate, "wrong").send(a_message(), ["one@example.com"])


async def test_no_password_goes_to_a_server_without_starttls_or_with_a_certificate_that_is_not_trusted(
    context: ssl.SSLContext, certificate: Path
) -> None:
    async with a_mail_server() as box:
        with pytest.raises(MailFailed, match="STARTTLS extension not supported"):
            await server(box.port, "starttls", certificate).send(a_message(), ["one@example.com"])
    for tls in ("starttls", "tls"):
        async with a_mail_server(context, starttls=tls == "starttls", login=True) as box:
            with pytest.raises(MailFailed, match="No secure connection"):
                await server(box.port, "starttls" if tls == "starttls" else "tls", None).send(
                    a_message(), ["one@example.com"]
                )
        assert box.users == []


async def test_one_recipient_that_is_refused_keeps_the_message_from_no_other() -> None:
    async with a_mail_server() as box:
        box.refuses = frozenset({"two@example.com"})
        mail = server(box.port, "none", None, password=None)
        said = await mail.send(a_message(), ["one@example.com", "two@example.com"])
        assert "refused two@example.com: The mail server answered 550" in said
        with pytest.raises(MailFailed, match="No recipient was accepted"):
            await mail.send(a_message(), ["two@example.com"])
    assert [recipients for recipients, _ in box.taken] == [["one@example.com"]]


async def test_a_server_that_can_not_be_reached_or_speaks_no_smtp_is_told() -> None:
    async with a_mail_server() as box:
        port = box.port
    with pytest.raises(MailFailed, match="can't be reached"):
        await server(port, "none", None, password=None).send(a_message(), ["one@example.com"])

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(MailFailed, match="speaks no SMTP"):
            await server(port, "none", None, password=None).send(a_message(), ["one@example.com"])


async def test_an_answer_that_was_sent_before_tls_counts_for_nothing(
    context: ssl.SSLContext, certificate: Path
) -> None:
    """A man in the middle adds an answer in clear text, which would be read as one over TLS."""
    heard: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        await reader.readline()
        writer.write(b"250-mail.test\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 Go on\r\n250-injected\r\n250 AUTH PLAIN\r\n")
        await writer.drain()
        await writer.start_tls(context)
        heard.append(await reader.readline())
        writer.write(b"250 mail.test\r\n")
        heard.append(await reader.read())
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(MailFailed):
            await server(port, "starttls", certificate).send(a_message(), ["one@example.com"])
    assert not any(b"AUTH" in line for line in heard)
