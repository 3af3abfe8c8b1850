"""Send e-mail through the operator's SMTP server (RFC 5321): over TLS from the start, after STARTTLS, or without it."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Literal

from hairtrigger.domain.errors import HairtriggerError

Tls = Literal["starttls", "tls", "none"]
PORTS: dict[Tls, int] = {"starttls": 587, "tls": 465, "none": 25}
_AT_MOST = timedelta(seconds=30)
_LONGEST_LINE = 4096
_MOST_LINES = 100
_KEPT = 300  # characters of an answer that are told


class MailFailed(HairtriggerError):
    """The e-mail could not be sent."""


@dataclass(frozen=True)
class MailServer:
    host: str
    port: int
    tls: Tls
    sender: str
    """The address that e-mail comes from, with or without a name before it."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    authorities: Path | None = None
    """A file of certificates of authorities that are trusted besides the usual ones."""

    @property
    def domain(self) -> str:
        """Return the domain of the sender's address: by it the service greets the server."""
        return parseaddr(self.sender)[1].rpartition("@")[2]

    async def send(self, message: EmailMessage, recipients: Sequence[str]) -> str:
        """Send a message, and return what the server said. Raise `MailFailed` if it took the message for no recipient.

        The message gets the sender's address.
        """
        message["From"] = self.sender
        try:
            async with asyncio.timeout(_AT_MOST.total_seconds()), self._session() as session:
                return await session.deliver(parseaddr(self.sender)[1], recipients, message.as_bytes())
        except TimeoutError:
            raise MailFailed(f"The mail server {self.host} did not answer in time.") from None
        except ssl.SSLError as error:
            raise MailFailed(
                f"No secure connection to the mail server {self.host}: {error.reason or error}."
            ) from error
        except OSError as error:
            raise MailFailed(f"The mail server {self.host}:{self.port} can't be reached.") from error
        except (EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise MailFailed(f"The mail server {self.host} broke off, or speaks no SMTP.") from error

    @asynccontextmanager
    async def _session(self) -> AsyncIterator["_Session"]:
        context = self._context() if self.tls == "tls" else None
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=context, limit=_LONGEST_LINE)
        session = _Session(reader, writer)
        try:
            await session.expect(220)
            offered = await session.greet(self.domain)
            if self.tls == "starttls":
                if "STARTTLS" not in offered:
                    raise MailFailed(f"The mail server {self.host} offers no STARTTLS.")
                await session.ask("STARTTLS", 220)
                await session.encrypt(self._context(), self.host)
                offered = await session.greet(self.domain)
            if self.user is not None:
                await session.log_in(self.user, self.password or "", offered)
            yield session
            with suppress(MailFailed, OSError, EOFError, ValueError):
                await session.ask("QUIT", 221)
        finally:
            session.close()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.authorities:
            context.load_verify_locations(self.authorities)
        return context


class _Session:
    """One connection to a mail server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._clear: asyncio.StreamWriter | None = None  # in clear text; it would close the connection if it were gone

    async def expect(self, *codes: int) -> str:
        """Return the text of the next answer, or raise `MailFailed` if it has none of these codes."""
        code, text = await self._answer()
        if code not in codes:
            raise MailFailed(f"The mail server answered {code} {text[:_KEPT]}")
        return text

    async def ask(self, line: str, *codes: int) -> str:
        self._writer.write(line.encode() + b"\r\n")
        await self._writer.drain()
        return await self.expect(*codes)

    async def greet(self, name: str) -> dict[str, str]:
        """Return what the server offers, by keywords in upper case."""
        lines = (await self.ask(f"EHLO {name}", 250)).split("\n")[1:]
        return {keyword.upper(): rest for keyword, _, rest in (line.partition(" ") for line in lines)}

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Go on over TLS, with a new reader: what came before in clear text must not count as an answer."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_LONGEST_LINE)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(self._writer.transport, protocol, context, server_hostname=host)
        assert transport
        protocol.connection_made(transport)
        self._clear = self._writer
        self._reader, self._writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def log_in(self, user: str, password: str, offered: dict[str, str]) -> None:
        ways = offered.get("AUTH", "").upper().split()
        if "PLAIN" in ways:
            await self.ask(f"AUTH PLAIN {_base64(chr(0).join(('', user, password)))}", 235)
        elif "LOGIN" in ways:
            await self.ask("AUTH LOGIN", 334)
            await self.ask(_base64(user), 334)
            await self.ask(_base64(password), 235)
        else:
            raise MailFailed("The mail server takes no password in a way that is known here: PLAIN or LOGIN.")

    async def deliver(self, sender: str, recipients: Sequence[str], message: bytes) -> str:
        await self.ask(f"MAIL FROM:<{sender}>", 250)
        refused = []
        for one in recipients:
            try:
                await self.ask(f"RCPT TO:<{one}>", 250, 251)
            except MailFailed as error:
                refused.append(f"{one}: {error.message}")
        if len(refused) == len(recipients):
            raise MailFailed(f"No recipient was accepted. {refused[0]}")
        await self.ask("DATA", 354)
        self._writer.write(b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in message.splitlines()))
        self._writer.write(b".\r\n")
        await self._writer.drain()
        said = await self.expect(250)
        told = f"The mail server took it: {said[:_KEPT]}"
        return f"{told} It refused {'; '.join(refused)}" if refused else told

    def close(self) -> None:
        self._writer.close()
        if self._clear:
            self._clear.close()

    async def _answer(self) -> tuple[int, str]:
        lines = []
        for _ in range(_MOST_LINES):
            line = (await self._reader.readuntil(b"\n")).decode(errors="replace").rstrip("\r\n")
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(lines)
        raise ValueError


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
