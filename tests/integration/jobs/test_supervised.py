"""What a worker under a master says when it cannot start: one line, by its pipe."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from brama.errors import ConfigError
from brama.exit_codes import ExitCode
from brama.frames import FrameReader, encode_frame
from brama.job_messages import Ending, Terms, decode_from_job_worker, encode_job_message
from jobs.errors import EngineUnavailableError
from jobs.supervised import _refusal_of
from tests.integration.jobs.processes import HANDLERS, ROOT

TIMEOUT_S = 60.0


def terms(folder: Path, **changed: Any) -> bytes:
    """Return terms of a worker whose log and state are in ``folder``."""
    document = {
        "title": "brama: jobs 1",
        "modules": [HANDLERS],
        "slots": 1,
        "rates": {},
        "url": "redis://:hidden@127.0.0.1:1/0",
        "state_dir": str(folder),
        "backend": None,
        "log_path": str(folder / "jobs_1.log"),
        "log_level": "info",
        "log_rotate_bytes": 0,
    }
    return json.dumps(document | changed).encode()


def start(document: bytes, folder: Path) -> tuple[int, str]:
    """Run a worker on terms that it cannot start with; return its exit code and what it says."""
    here, there = socket.socketpair()
    with here:
        with there:
            here.sendall(encode_frame(encode_job_message(Terms(document))))
            arguments = [sys.executable, "-m", "jobs.supervised", str(there.fileno()), str(os.getpid())]
            path = os.pathsep.join([str(ROOT), str(folder)])
            process = subprocess.Popen(
                arguments, pass_fds=[there.fileno()], env={**os.environ, "PYTHONPATH": path}
            )
        try:
            code = process.wait(TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
        (frame,) = FrameReader().feed(here.recv(65536))
    message = decode_from_job_worker(frame)
    assert isinstance(message, Ending)
    assert "\n" not in message.detail
    return code, message.detail


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "logs").touch()
    code, said = start(terms(tmp_path, log_path=str(tmp_path / "logs" / "jobs_1.log")), tmp_path)
    assert code == ExitCode.FAILED
    assert said.startswith("logs_dir: ")
    assert said.endswith("make it writable or set logs_dir")


def test_terms_that_are_not_understood_are_said_without_what_they_hold(tmp_path: Path):
    code, said = start(terms(tmp_path, slots="hidden"), tmp_path)
    assert (code, said) == (
        ExitCode.FAILED,
        "its terms are not understood: slots; restart the supervisor",
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
        ("def f(:", "SyntaxError: invalid syntax ({file}, line 1)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_cannot_be_imported_is_said(tmp_path: Path, code: str, expected: str):
    file = tmp_path / "their_jobs.py"
    file.write_text(code)
    exit_code, said = start(terms(tmp_path, modules=["their_jobs"]), tmp_path)
    assert exit_code == ExitCode.CONFIG
    assert said == f"jobs: their_jobs cannot be imported: {expected.format(file=file)}".strip()
    assert "hidden" not in (tmp_path / "jobs_1.log").read_text()


def test_of_a_group_the_first_error_is_said():
    group = ExceptionGroup("unhandled errors in a TaskGroup", [EngineUnavailableError("away")])
    assert str(_refusal_of(ExceptionGroup("more", [group]))) == "away"
    assert isinstance(_refusal_of(ExceptionGroup("more", [ConfigError("wrong")])), ConfigError)
