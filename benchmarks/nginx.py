"""A real nginx with the configuration that operators are given."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from benchmarks.certificates import Certificate, make_certificate
from benchmarks.ports import free_port
from benchmarks.programs import find_installed
from brama.clock import monotonic_s

SHIPPED = Path(__file__).parents[1] / "deploy" / "nginx" / "brama.conf"
#: What an nginx.conf holds besides; everything it writes is in the run's folder.
_AROUND = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/brama.conf;
}}
"""
_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 20.0
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class RunningNginx:
    """An nginx in front of port ``upstream``, and the certificate it shows."""

    port: int
    upstream: int
    certificate: Certificate
    folder: Path

    @property
    def address(self) -> str:
        """Where Telegram would reach it."""
        return f"https://127.0.0.1:{self.port}"

    def log(self) -> str:
        """Return everything it has written."""
        return "".join((self.folder / name).read_text() for name in ("access.log", "error.log"))


def is_available() -> bool:
    """Return whether nginx, and openssl for its certificate, are installed."""
    return find_installed("nginx") is not None and find_installed("openssl") is not None


@contextmanager
def running_nginx(folder: Path, upstream: int, *, is_sender_known: bool = True) -> Iterator[RunningNginx]:
    """Run nginx in front of a port of this machine until the block ends.

    Args:
        folder: one that does not exist yet, for all its files.
        upstream: the webhook server's port.
        is_sender_known: this machine counts as Telegram for the rate limit; else it is a stranger, who may
            ask three times before that limit, which is made low enough to be met however slow the test is.

    Raises:
        LookupError: nginx is not installed.
        RuntimeError: it did not start; the text is what it wrote.
    """
    program = find_installed("nginx")
    if program is None:
        raise LookupError("nginx is not installed (Debian: apt-get install nginx)")
    folder.mkdir()
    nginx = RunningNginx(free_port(), upstream, make_certificate(folder), folder)
    (folder / "brama.conf").write_text(_configuration(nginx, is_sender_known=is_sender_known))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, user=user))
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_started(process, folder)
        yield nginx
    finally:
        process.terminate()
        process.wait(_STOP_TIMEOUT_S)


def _configuration(nginx: RunningNginx, *, is_sender_known: bool) -> str:
    """Return the shipped file with what is the operator's to change, and another port for each run."""
    text = SHIPPED.read_text()
    changes = [
        ("listen 443 ssl;", f"listen 127.0.0.1:{nginx.port} ssl;"),
        ("server 127.0.0.1:8443;", f"server 127.0.0.1:{nginx.upstream};"),
        ("server_name bots.example.com;", "server_name localhost;"),
        ("/etc/letsencrypt/live/bots.example.com/fullchain.pem", str(nginx.certificate.cert)),
        ("/etc/letsencrypt/live/bots.example.com/privkey.pem", str(nginx.certificate.key)),
    ]
    if is_sender_known:
        changes.append(("91.108.4.0/22       0;", "91.108.4.0/22       0;\n    127.0.0.0/8 0;"))
    else:
        changes += [("rate=100r/s", "rate=1r/m"), ("burst=200", "burst=2")]
    for shipped, changed in changes:
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, changed)
    return text


def _wait_started(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = monotonic_s() + _START_TIMEOUT_S
    while not (folder / "nginx.pid").exists():
        if process.poll() is not None or monotonic_s() > deadline:
            raise RuntimeError(f"nginx did not start: {(folder / 'error.log').read_text()}")
        Event().wait(_PAUSE_S)
