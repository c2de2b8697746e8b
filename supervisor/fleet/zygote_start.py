"""Executes the zygote.

Light to import: the command line starts the zygote first of all, so that it warms up while the rest of the
master is being loaded.

Runs in: command line, master.
"""

import os
import re
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

import brama

#: The module of the zygote; named, never imported: the master runs no bot code.
ZYGOTE_MODULE = "bot_worker"
#: The variable that holds the zygote's configuration as JSON.
CONFIGURATION_VARIABLE = "BRAMA_ZYGOTE"

#: What the zygote may know of the master's environment. Nothing here holds a secret.
_ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TZDIR|TMPDIR|TMP|TEMP|LD_LIBRARY_PATH|LD_PRELOAD|FAKETIME_[A-Z_]+|"
    r"MALLOC_[A-Z_]+|SSL_CERT_FILE|SSL_CERT_DIR|OPENSSL_CONF|VIRTUAL_ENV|PYTHON[A-Z0-9_]*"
)


@dataclass(frozen=True, slots=True)
class StartedZygote:
    """A zygote that has been executed: its process, our end of its socket, the end of its output to read."""

    popen: "subprocess.Popen[bytes]"
    control: socket.socket
    output_fd: int


def zygote_environment(
    environ: Mapping[str, str], preload: Sequence[str], project_root: Path
) -> dict[str, str]:
    """Return the zygote's whole environment."""
    allowed = {name: value for name, value in environ.items() if _ALLOWED.fullmatch(name)}
    if path := search_path(allowed.get("PYTHONPATH")):
        allowed["PYTHONPATH"] = path
    configuration = {"preload": list(preload), "project_root": str(project_root)}
    return {**allowed, CONFIGURATION_VARIABLE: msgspec.json.encode(configuration).decode()}


def search_path(inherited: str | None) -> str | None:
    """Return PYTHONPATH such that the zygote finds this very installation, a bare source folder included."""
    home = str(Path(brama.__file__).resolve().parents[1])
    entries = inherited.split(os.pathsep) if inherited else []
    if home not in (*entries, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        entries.insert(0, home)
    return os.pathsep.join(entries) or None


def start_zygote(environment: Mapping[str, str], module: str = ZYGOTE_MODULE) -> StartedZygote:
    """Execute the zygote.

    Args:
        environment: its whole environment.
        module: what ``python -m`` runs.

    Raises:
        OSError: it cannot be executed.
    """
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.setblocking(False)
    output, theirs_output = os.pipe()
    try:
        # -P: nothing in the working directory may pass for one of our modules.
        popen = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(theirs.fileno())],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=theirs_output,
            stderr=theirs_output,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            cwd="/",
        )
    except OSError:
        control.close()
        os.close(output)
        raise
    finally:
        theirs.close()
        os.close(theirs_output)
    return StartedZygote(popen, control, output)
