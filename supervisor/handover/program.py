"""Executes a master in place of the one that runs, and carries the handover across.

Runs in: command line, master.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from brama.errors import ProtocolError
from supervisor.handover.records import Handover, decode_handover, encode_handover

#: The variable that names the file descriptor of a handover.
VARIABLE = "BRAMA_HANDOVER"
_NAME = "brama-supervisor"


def find_program(argument: str, environ: Mapping[str, str]) -> Path:
    """Return the absolute path of the console script, with every link in it kept.

    A link that points elsewhere later leads the next master to another installation.

    Args:
        argument: ``sys.argv[0]``.
        environ: its PWD knows by which links the shell came to the working directory.
    """
    program = Path(_logical_cwd(environ), argument)
    if os.access(program, os.X_OK) and program.is_file():
        return Path(os.path.normpath(program))
    return Path(sys.executable).with_name(_NAME)  # run by python -m, or by a test


def become(program: Path, handover: Handover) -> NoReturn:
    """Replace this process by a master that begins with ``handover``; the pid stays.

    Args:
        program: what has proven itself, by a path without links: one may lead elsewhere by now.
        handover: what it begins with.

    Raises:
        OSError: the program cannot be executed; nothing has happened.
    """
    memory = os.memfd_create("brama-handover", os.MFD_CLOEXEC)
    with os.fdopen(memory, "wb", closefd=False) as file:
        file.write(encode_handover(handover))
    os.lseek(memory, 0, os.SEEK_SET)
    inherited = [memory, *handover.descriptors()]
    for fd in inherited:
        os.set_inheritable(fd, True)
    try:
        os.execve(
            program,
            [str(program), "start", "--config", handover.config],
            {**os.environ, VARIABLE: str(memory)},
        )
    finally:  # it could not be executed
        os.close(memory)
        for fd in handover.descriptors():
            os.set_inheritable(fd, False)


def take_handover() -> Handover | None:
    """Return what the master before has left to this process, None if there was none.

    Raises:
        ProtocolError: it cannot be read.
    """
    if (name := os.environ.pop(VARIABLE, None)) is None:
        return None
    try:
        with os.fdopen(int(name), "rb") as file:
            handover = decode_handover(file.read())
    except (OSError, ValueError) as error:
        raise ProtocolError(f"{VARIABLE} is for a master that takes over, and is {name}; unset it") from error
    for fd in handover.descriptors():
        os.set_inheritable(fd, False)
    return handover


def _logical_cwd(environ: Mapping[str, str]) -> str:
    said = environ.get("PWD", "")
    try:
        return said if os.path.isabs(said) and os.path.samefile(said, ".") else os.getcwd()
    except OSError:
        return os.getcwd()
