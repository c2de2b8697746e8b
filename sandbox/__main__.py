"""``python -m sandbox``: a local Bot API server."""

import argparse
import asyncio
import ssl
import sys
from pathlib import Path
from typing import NoReturn

import uvloop

from brama.exit_codes import ExitCode
from sandbox.server import Terms, lift_file_limit, open_socket, say, serve
from sandbox.webhooks.tls import load_roots


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port; write 0 to 65535, 0 takes a free one")
    return port


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "no certificate in it"
    return error.strerror or str(error)


def main() -> int:
    """Run a sandbox; returns the exit code."""
    parser = _Parser(prog="sandbox", description="A local Telegram Bot API server with a chat page.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", default=8081, type=_port, help="port, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="do not say on standard error what was refused")
    parser.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="root certificates to trust at webhooks, in place of the system's",
    )
    parser.add_argument("--any-host", action="store_true", help="deliver to webhooks on other machines too")
    options = parser.parse_args()
    try:
        roots = load_roots(options.ca)
    except OSError as error:
        sys.stderr.write(f"sandbox: --ca {options.ca}: {_reason(error)}; give a file of PEM certificates\n")
        return ExitCode.FAILED
    try:
        sock = open_socket(options.host, options.port)
    except OSError as error:
        sys.stderr.write(
            f"sandbox: cannot listen on {options.host}:{options.port}: {_reason(error)};"
            " choose another with --port\n"
        )
        return ExitCode.FAILED
    lift_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = None if options.quiet else say
        runner.run(serve(sock, Terms(options.host, roots, options.any_host, report)))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
