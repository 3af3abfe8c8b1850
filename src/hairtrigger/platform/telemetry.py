"""Logs: a line for each thing that happened, as JSON or for a terminal, with no secret in it."""

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_CHATTY = ("alembic", "httpx2", "uvicorn.error")  # what they tell at INFO is told better elsewhere
_KEY = re.compile(r"(/key/)\S+", re.IGNORECASE)


def configure(*, json: bool, level: str = "INFO") -> None:
    """Sends everything logged, ours and the libraries', to standard error. Run uvicorn with `log_config=None`."""
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
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):  # its own configuration may have been there first
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for library in _CHATTY:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").addFilter(mask_access_log)


def masked_path(path: str) -> str:
    """A path as it may be logged. The deprecated routes end in an API key, and queries carry webhooks' tokens."""
    bare, question_mark, _ = path.partition("?")
    return _KEY.sub(r"\1***", bare) + (question_mark and "?***")


def mask_access_log(record: logging.LogRecord) -> bool:
    """A filter for `uvicorn.access`, whose records are client, method, path with query, version, status."""
    match record.args:
        case (client, method, str(path), version, status):
            record.args = (client, method, masked_path(path), version, status)
    return True


def _renderer(*, json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    # The default formatter shows local variables, and secrets among them.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _masked(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keys in paths, wherever a message or a traceback shows one."""
    return {name: _KEY.sub(r"\1***", value) if isinstance(value, str) else value for name, value in event.items()}
