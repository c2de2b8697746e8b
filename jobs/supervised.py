"""A job worker under the supervisor: ``python -m jobs.supervised FD PARENT``, executed by the master alone.

Its terms come through the pipe FD, and its heartbeats go back. It ends with PARENT, the master.

Runs in: job worker.
"""

import asyncio
import faulthandler
import os
import signal
import sys

import uvloop
from pydantic import ValidationError
from setproctitle import setproctitle

from brama.clock import monotonic_s
from brama.errors import BramaError, ConfigError, ProtocolError, StateError
from brama.exit_codes import ExitCode
from brama.frames import FrameReader, encode_frame
from brama.job_messages import (
    BEAT_S,
    Beat,
    Ending,
    FromJobWorker,
    Serving,
    decode_terms,
    encode_job_message,
)
from brama.log import configure_logging, get_logger
from brama.log_sink import LogSink
from brama.redaction import register_secrets
from jobs.linux import die_with_parent
from jobs.output import Output
from jobs.registry import load_types
from jobs.terms import WorkerTerms
from jobs.worker import Worker

_CHUNK_BYTES = 65536
log = get_logger(__name__)


def main(arguments: list[str]) -> int:
    """Run a worker and return its exit code."""
    fd, parent = map(int, arguments)
    die_with_parent(parent, signal.SIGKILL)
    # A Ctrl-C is for the master, which ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(fd, False)
    document = _receive(fd)
    os.set_blocking(fd, False)
    try:
        return _work(document, fd)
    except Exception as error:
        refusal = _refusal_of(error)
        _say(fd, Ending(str(refusal)))
        return ExitCode.CONFIG if isinstance(refusal, ConfigError) else ExitCode.FAILED


def _work(document: bytes, fd: int) -> int:
    terms = WorkerTerms.model_validate_json(document)
    register_secrets(terms.url.get_secret_value())
    setproctitle(terms.title)
    sink = _begin_log(terms)
    output = Output(terms.log_path, terms.log_rotate_bytes)
    faulthandler.enable(file=2)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(terms, fd, output, sink))
    except Exception as error:
        refusal = _refusal_of(error)
        log.error("worker.not_started", error=str(refusal), exc_info=None if refusal is error else error)
        raise
    finally:
        sink.close()


def _begin_log(terms: WorkerTerms) -> LogSink:
    try:
        return configure_logging(
            terms.log_path, level=terms.log_level, rotate_size_bytes=terms.log_rotate_bytes
        )
    except OSError as error:
        trouble = f"{terms.log_path} cannot be written: {error.strerror}"
        raise StateError(f"logs_dir: {trouble}; make it writable or set logs_dir") from None


def _refusal_of(error: Exception) -> BramaError:
    """Return what an operator is to know of an error, in one line."""
    match error:
        case BramaError():
            return error
        case ExceptionGroup():
            return _refusal_of(error.exceptions[0])
        case ValidationError():  # its text may hold secrets
            wrong = [".".join(map(str, each["loc"])) for each in error.errors(include_input=False)]
            return ProtocolError(f"its terms are not understood: {', '.join(wrong)}; restart the supervisor")
    return BramaError(" ".join(f"{type(error).__name__}: {error}".split()))


async def _run(terms: WorkerTerms, fd: int, output: Output, sink: LogSink) -> int:
    modules = list(terms.modules)
    sys.path.insert(0, os.getcwd())  # not before our own packages were found: the project may have such names
    url = terms.url.get_secret_value()
    types = load_types(modules)
    _say(fd, Serving(types.queues))
    worker = Worker(
        types,
        modules,
        url,
        terms.state_dir,
        terms.slots,
        terms.rates,
        terms.backend,
        is_patient=True,
        log_path=terms.log_path,
        on_blocked=lambda detail: _say(fd, Ending(detail)),
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    beating = asyncio.create_task(_beat(worker, fd, output))
    try:
        await worker.run()
    finally:
        beating.cancel()
    if worker.is_unfit:
        sink.close()
        os._exit(ExitCode.FAILED)
    return ExitCode.OK


async def _beat(worker: Worker, fd: int, output: Output) -> None:
    lag_s = 0.0
    while True:
        tally = worker.tally
        _say(fd, Beat(len(tally.in_hand), tally.completed, tally.failed, round(lag_s * 1000, 1)))
        output.follow()
        due = monotonic_s() + BEAT_S
        await asyncio.sleep(BEAT_S)
        lag_s = monotonic_s() - due


def _receive(fd: int) -> bytes:
    """Return the terms, which the master has written before anything else."""
    reader = FrameReader()
    while chunk := os.read(fd, _CHUNK_BYTES):
        for frame in reader.feed(chunk):
            return decode_terms(frame).document
    raise SystemExit(ExitCode.FAILED)  # the master is gone, and the kernel is about to say so


def _say(fd: int, message: FromJobWorker) -> None:
    try:
        os.write(fd, encode_frame(encode_job_message(message)))
    except OSError:  # the master is gone, or does not read for the moment: the next beat will do
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
