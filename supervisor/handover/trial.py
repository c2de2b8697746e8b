"""Tries the next master out before anything of the running one is given up.

A child executes the program that would take over. It reads the configuration and what would be handed over,
looks at the state file, warms a zygote up and says what it is; it writes nothing.

Runs in: master.
"""

import asyncio
import subprocess
from pathlib import Path

import msgspec

from brama.errors import BramaError, ConfigError
from brama.exit_codes import ExitCode
from brama.redaction import redact
from supervisor.handover.records import Handover, Proof, encode_handover

#: Loading everything and warming a zygote up takes two seconds on an idle machine.
LIMIT_S = 25.0
#: Most lines of a failure that are told.
_MAX_LINES = 20
_PREFIX = "brama-supervisor: "


async def prove(program: Path, draft: Handover) -> Proof:
    """Return what ``program`` says of itself after it has read ``draft``.

    Raises:
        ConfigError: the configuration is of no use to it, one line for each thing that is wrong.
        BramaError: it cannot take over; the text says why.
    """
    try:
        child = _execute(program)
    except OSError as error:
        raise BramaError(f"{program} cannot be executed: {error.strerror}; install it again") from None
    try:
        said, wrong = await asyncio.to_thread(child.communicate, encode_handover(draft), LIMIT_S)
    except subprocess.TimeoutExpired:
        raise BramaError(f"{program} was not through with its trial after {LIMIT_S:g} s") from None
    finally:
        if child.poll() is None:
            child.kill()
            await asyncio.shield(asyncio.to_thread(child.wait))
    if child.returncode != ExitCode.OK:
        raise _failure(program, child.returncode, wrong.decode(errors="replace"))
    try:
        return msgspec.json.decode(said, type=Proof)
    except msgspec.DecodeError:
        raise BramaError(f"{program} is no brama-supervisor that can take over") from None


def _execute(program: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [program, "prove"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def _failure(program: Path, code: int, text: str) -> BramaError:
    written = [line for line in redact(text).splitlines() if line.strip()]
    lines = [line.removeprefix(_PREFIX) for line in written if line.startswith(_PREFIX)]
    if code == ExitCode.CONFIG and lines:
        return ConfigError("\n".join(lines[:_MAX_LINES]))
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return BramaError(f"{program} cannot take over ({how}): {(lines or written or ['it said nothing'])[-1]}")
