"""Structured logging of the master: one line an event, secrets hidden in every one.

Third-party loggers (aiohttp, asyncio) go through the same redaction into the same sink. Workers do not use
this module: a bot's log is its own output.

Runs in: master | sandbox.
"""

import logging
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from brama.clock import utc_s
from brama.log_sink import LogSink
from brama.redaction import redact_value

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_encode = msgspec.json.Encoder().encode


def get_logger(name: str) -> Any:
    """Return a logger: ``log.info("worker.exited", bot="shop", code=-9)``, events being noun.verb_past."""
    return structlog.get_logger(source=name)


def configure_logging(
    path: Path | None, *, level: str = "info", console: bool = False, rotate_size_bytes: int = 50_000_000
) -> LogSink:
    """Send all logging of this process to ``path`` and, if ``console``, readable lines to standard output.

    Args:
        path: the JSON lines file; None writes none.
        level: the least that is written: debug, info, warning, error.
        console: also write readable lines to standard output.
        rotate_size_bytes: size of a file at which the next is begun; 0 never rotates.

    Returns:
        The sink, to be closed last of all.
    """
    sink = LogSink(path, rotate_size_bytes=rotate_size_bytes, console=console)
    threshold = _LEVELS[level.lower()]
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, _stamp, _hide],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _SinkLogger(sink),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_StandardHandler()]
    root.setLevel(max(threshold, logging.WARNING))
    return sink


def render_readable(event: MutableMapping[str, Any]) -> str:
    """Return one event as ``12:00:01 info worker.exited bot=shop code=-9`` (times in UTC)."""
    rest = " ".join(f"{key}={_plain(value)}" for key, value in event.items() if key not in _OUTSIDE_KEYS)
    clock = str(event.get("at", ""))[11:19]
    return f"{clock} {event.get('level', 'info'):<7} {event.get('event', '')} {rest}".rstrip()


_OUTSIDE_KEYS = frozenset({"at", "level", "event", "source"})


def _plain(value: Any) -> str:
    text = str(value)
    return f'"{text}"' if " " in text else text


def _stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    moment = datetime.fromtimestamp(utc_s(), UTC).isoformat(timespec="milliseconds")
    return {"at": moment.replace("+00:00", "Z"), **event}


def _hide(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> tuple[tuple[Any], dict[str, Any]]:
    return (redact_value(dict(event)),), {}


class _SinkLogger:
    """Renders a finished event twice: JSON for the file, words for a terminal."""

    def __init__(self, sink: LogSink) -> None:
        self._sink = sink

    def msg(self, event: dict[str, Any]) -> None:
        self._sink.write(_encode(event), render_readable(event))

    debug = info = warning = error = critical = exception = msg


class _StandardHandler(logging.Handler):
    """Takes records of the standard library's loggers over."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"text": record.getMessage()}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        level = record.levelname.lower()
        getattr(get_logger(record.name), level if level in _LEVELS else "info")("library.logged", **fields)
