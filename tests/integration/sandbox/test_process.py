"""``python -m sandbox`` as a process."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from sandbox.client import SandboxControl
from tests.fixtures.sandbox import RunningSandbox, running_sandbox
from tests.integration.sandbox.receiver import Gate, listening
from tests.integration.sandbox.webhooks import BOT, say, set_webhook
from tests.waiting import await_until, wait_until


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *options], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_quickly_whatever_is_open(number: signal.Signals) -> None:
    with running_sandbox() as sandbox:
        sandbox.control.add_fault("hang", bot=2)
        host, port = sandbox.base_url.removeprefix("http://").split(":")
        connections = []
        for bot in (1, 2):
            connections.append(connection := socket.create_connection((host, int(port))))
            path = f"/bot{sandbox.token(bot)}/getUpdates?timeout=50"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        wait_until(lambda: sandbox.control.state(1).open_polls == 1)
        wait_until(lambda: sandbox.control.faults()[0].fired == 1)
        sandbox.process.send_signal(number)
        assert sandbox.process.wait(20) == 0
        for connection in connections:
            connection.close()


def test_it_says_where_it_listens_and_nothing_else() -> None:
    with running_sandbox() as sandbox:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", sandbox.base_url)
        SandboxControl(sandbox.base_url).bots()
        sandbox.process.terminate()
        assert sandbox.process.stdout is not None
        assert sandbox.process.stdout.read() == b""


def test_an_occupied_port_is_one_line(sandbox: RunningSandbox) -> None:
    port = sandbox.base_url.rpartition(":")[2]
    result = run("--port", port)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"sandbox: cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --port\n"
    )


def test_a_host_that_is_none_is_one_line() -> None:
    result = run("--host", "no such host", "--port", "0")
    assert result.returncode == 1
    assert re.fullmatch(r"sandbox: cannot listen on no such host:0: .*\n", result.stderr)


def test_a_file_without_root_certificates_is_one_line(tmp_path: Path) -> None:
    result = run("--port", "0", "--ca", str(tmp_path / "none.pem"))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"sandbox: --ca {tmp_path}/none.pem: No such file or directory; give a file of PEM certificates\n"
    )
    (tmp_path / "empty.pem").write_text("no certificate")
    result = run("--port", "0", "--ca", str(tmp_path / "empty.pem"))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"sandbox: --ca {tmp_path}/empty.pem: no certificate in it; give a file of PEM certificates\n"
    )


def test_wrong_options_are_a_usage_error() -> None:
    assert run("--port", "99999").returncode == 64
    assert run("--prot").returncode == 64


def test_it_listens_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 loopback address here")
    with running_sandbox("--host", "::1") as sandbox:
        assert sandbox.base_url.startswith("http://[::1]:")
        assert sandbox.control.bots() == []


@contextmanager
def outspoken_sandbox() -> Iterator[RunningSandbox]:
    """Run a sandbox whose standard error can be read."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().split()[-1]
            yield RunningSandbox(base_url, process, SandboxControl(base_url))
        finally:
            process.terminate()
            assert process.wait(20) == 0


def test_refused_calls_are_named_without_their_content() -> None:
    with outspoken_sandbox() as sandbox:
        assert sandbox.process.stderr is not None
        assert sandbox.call(1, "sendMessage", chat_id=0, text="secret")[0] == 400
        assert sandbox.process.stderr.readline() == "bot 1: sendMessage: 400 Bad Request: chat not found\n"


async def test_it_ends_quickly_and_quietly_with_deliveries_open() -> None:
    with outspoken_sandbox() as sandbox:
        assert sandbox.process.stderr is not None
        gate = Gate()
        async with listening() as receiver, listening() as other:
            receiver.answer = gate.answer
            await set_webhook(sandbox, receiver.url())
            await set_webhook(sandbox, other.url(), bot=BOT + 1)
            await say(sandbox, 7, "secret")
            await say(sandbox, 7, "secret", bot=BOT + 1)
            await await_until(lambda: gate.waiting and other.taken)
            sandbox.process.terminate()
            await await_until(lambda: sandbox.process.poll() is not None)
        assert sandbox.process.stderr.read() == ""


async def test_a_call_in_an_answer_that_is_refused_is_named() -> None:
    with outspoken_sandbox() as sandbox:
        assert sandbox.process.stderr is not None
        async with listening() as receiver:
            call = {"method": "sendMessage", "chat_id": 0, "text": "secret"}
            receiver.answer = lambda received: web.json_response(call)
            await set_webhook(sandbox, receiver.url())
            await say(sandbox, 7, "hello")
            await await_until(lambda: receiver.taken)
            assert sandbox.process.stderr.readline() == (
                "bot 1001: sendMessage: 400 Bad Request: chat not found\n"
            )
