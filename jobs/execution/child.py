"""Runs ``def`` handlers, one at a time: ``python -m jobs.execution.child FD MODULE…``.

Started by a worker, which talks to it over the socket FD and kills it when a handler takes too long.

Runs in: job child.
"""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from brama.frames import FrameReader, encode_frame
from brama.redaction import register_secrets
from jobs.context import JobContext, LogLine, Progress, Report
from jobs.execution.attempt import Returned, check_result, failure_of, read_payload
from jobs.output import Output
from jobs.policy.verdict import Failure
from jobs.registry import Registry, load_types

_CHUNK_BYTES = 65536


def main(arguments: list[str]) -> None:
    """Serve the socket ``arguments[0]``, with the types of the modules in the rest, until its peer closes."""
    # A worker that drains gets the signal for both, and decides itself what becomes of the handler.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(link.fileno(), False)
    worker = _Worker(link)
    if (start := worker.hear()) is None:
        return
    register_secrets(*start["secrets"])
    Output(None if start["log"] is None else Path(start["log"]))
    sys.path.insert(0, os.getcwd())  # as in its worker
    types = load_types(arguments[1:])
    while (order := worker.hear()) is not None:
        worker.say(_run(types, order, worker))


class _Worker:
    """The worker, as its child sees it."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._frames = _frames(link)
        self._one_waits = threading.Lock()

    def hear(self) -> dict[str, Any] | None:
        """Return what it says next, None if it is gone."""
        frame = next(self._frames, None)
        words: dict[str, Any] | None = None if frame is None else json.loads(frame)
        return words

    def say(self, words: dict[str, Any]) -> None:
        """Tell it something."""
        self._link.sendall(encode_frame(json.dumps(words).encode()))

    def report(self, report: Report) -> None:
        """See JobContext."""
        match report:
            case Progress(value):
                self.say({"progress": value})
            case LogLine(text):
                self.say({"log": text})

    def wait(self, key: str | None) -> "_Over":
        """See JobContext; a handler may have several threads that wait."""
        with self._one_waits:
            self.say({"turn": key})
            match self.hear():
                case {"refused": reason}:
                    raise ValueError(reason)
                case None:
                    raise ConnectionError("the worker is gone")
        return _Over()


class _Over(Awaitable[None]):
    """A wait that is over, for handlers that ``await`` it in a loop of their own."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()


def _run(types: Registry, order: dict[str, Any], worker: _Worker) -> dict[str, Any]:
    job_type = types.find(order["queue"], order["name"])
    assert job_type is not None, "the worker has loaded the same modules"
    context = JobContext(
        order["job_id"],
        order["queue"],
        order["name"],
        order["attempt"],
        job_type.attempts,
        worker.report,
        worker.wait,
    )
    payload = read_payload(job_type, order["data"])
    if isinstance(payload, Failure):
        return {"failure": asdict(payload)}
    try:
        ending = check_result(job_type, job_type(payload, context))
    except BaseException as error:  # a handler may as well call sys.exit()
        ending = failure_of(error)
    return {"result": ending.result} if isinstance(ending, Returned) else {"failure": asdict(ending)}


def _frames(link: socket.socket) -> Iterator[bytes]:
    reader = FrameReader()
    while chunk := link.recv(_CHUNK_BYTES):
        yield from reader.feed(chunk)


if __name__ == "__main__":
    main(sys.argv[1:])
