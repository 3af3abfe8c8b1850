"""Configure the logs. An entry is a line of JSON, or text for a terminal, in which API keys in paths are redacted."""

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_CHATTY = ("alembic", "httpx2", "uvicorn.error")  # this service logs the same facts better than their INFO entries
_KEY = re.compile(r"(/key/)\S+", re.IGNORECASE)


def configure(*, json: bool, level: str = "INFO") -> None:
    """Send all logs, also those of libraries, to standard error, from this level on.

    uvicorn must run with `log_config=None`, because it would otherwise replace this configuration.
    """
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*first, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _masked,
                _renderer(json=json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):  # uvicorn may have configured these before
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for library in _CHATTY:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").addFilter(mask_access_log)


def masked_path(path: str) -> str:
    """Return the path with `***` in place of its secrets, which are the API key in deprecated routes and the query."""
    bare, question_mark, _ = path.partition("?")
    return _KEY.sub(r"\1***", bare) + (question_mark and "?***")


def mask_access_log(record: logging.LogRecord) -> bool:
    """Redact the path in an entry of `uvicorn.access`, and return True, so that the entry is logged.

    The arguments of such an entry are the client, method, path, version and status.
    """
    match record.args:
        case (client, method, str(path), version, status):
            record.args = (client, method, masked_path(path), version, status)
    return True


def _renderer(*, json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    # The default formatter shows local variables, which may hold secrets.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _masked(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Return the entry with `***` in place of API keys in paths, in its message, its values and its traceback."""
    return {name: _KEY.sub(r"\1***", value) if isinstance(value, str) else value for name, value in event.items()}
