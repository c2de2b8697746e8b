"""Runs ``def`` handlers, one at a time: ``python -m jobs.execution.child FD MODULE…``.

Started by a worker, which talks to it over the socket FD and kills it when a handler takes too long.

Runs in: job child.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from brama.frames import FrameReader, encode_frame
from jobs.context import JobContext, LogLine, Progress, Report
from jobs.execution.attempt import Returned, check_result, failure_of, read_payload
from jobs.policy.verdict import Failure
from jobs.registry import Registry, load_types

_CHUNK_BYTES = 65536


def main(arguments: list[str]) -> None:
    """Serve the socket ``arguments[0]``, with the types of the modules in the rest, until its peer closes."""
    # A worker that drains gets the signal for both, and decides itself what becomes of the handler.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(link.fileno(), False)
    types = load_types(arguments[1:])
    for frame in _frames(link):
        link.sendall(encode_frame(json.dumps(_run(types, json.loads(frame), link)).encode()))


def _run(types: Registry, order: dict[str, Any], link: socket.socket) -> dict[str, Any]:
    def report(report: Report) -> None:
        match report:
            case Progress(value):
                link.sendall(encode_frame(json.dumps({"progress": value}).encode()))
            case LogLine(text):
                link.sendall(encode_frame(json.dumps({"log": text}).encode()))

    job_type = types.find(order["queue"], order["name"])
    assert job_type is not None, "the worker has loaded the same modules"
    context = JobContext(
        order["job_id"], order["queue"], order["name"], order["attempt"], job_type.attempts, report
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
