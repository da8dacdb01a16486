"""Logging: lines for people on a terminal, JSON elsewhere. Never on the request path, never a secret or a prompt.

A traceback shows where and what kind, not the exception's text: foreign exceptions quote the data they choked on. A line
that cannot be written, for the disk is full, is dropped: who logs that goes on.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import orjson
import structlog


def configure(*, as_json: bool, debug: bool = False, worker: int = 0) -> None:
    """Set up logging for the process: to standard error, so that standard output stays the user's.

    Lines of a worker of several carry its number.
    """
    renderer: Any = structlog.processors.JSONRenderer(
        serializer=lambda event, **_: orjson.dumps(event, default=str).decode()
    )
    if not as_json:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=32)
    level = logging.DEBUG if debug else logging.INFO
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _where,
            *([_numbered(worker)] if worker else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Standard())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Foreign()], force=True)


class _Standard:
    """Standard error, as far as it can be written."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class _Foreign(logging.Handler):
    """Passes on what libraries log: which library and how bad, without its arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger("interlock").log(
            record.levelno, str(record.msg), library=record.name, exc_info=record.exc_info
        )


def _numbered(worker: int) -> structlog.typing.Processor:
    def numbered(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        del logger, method
        event.setdefault("worker", worker)
        return event

    return numbered


def _where(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Replace an exception by its kind and the places it came through."""
    del logger, method
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        event["exception"] = type(error).__name__
        event["at"] = " < ".join(
            f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(frames[-8:])
        )
    return event
