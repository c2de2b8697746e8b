"""What signals ask of a master: of this one, or of the one that takes its place in the process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from supervisor.requests import Requests, Wish
from tests.waiting import await_until

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: Two masters after each other on uvloop, which asks for an address in threads of its own.
MASTERS = """
import asyncio, os, signal, sys
import uvloop
from supervisor.requests import Requests, hold_signals, raise_again

async def first():
    requests = Requests()
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    assert requests.hand_over()
    for name in sys.argv[1].split():
        os.kill(os.getpid(), signal.Signals[name])
    while len(requests.unanswered) < len(sys.argv[1].split()):
        await asyncio.sleep(0.001)
    return requests.unanswered

async def second():
    requests = Requests()
    if sys.argv[2] == "stop":
        return (await requests.wait()).name
    await requests.restart.wait()
    await requests.reload.wait()
    return "restart and reload"

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    unanswered = runner.run(first())
    hold_signals()
raise_again(unanswered)
for name in sys.argv[3:]:
    signal.raise_signal(signal.Signals[name])
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    print(runner.run(second()))
"""


@pytest.fixture(autouse=True)
def gives_signals_back() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


async def test_the_first_wish_counts_and_what_comes_later_is_not_answered():
    requests = Requests()
    assert requests.hand_over()
    assert not requests.unanswered
    assert await requests.wait() is Wish.HAND_OVER
    requests.request()
    requests.reload.set()
    requests.restart.set()
    assert requests.unanswered == (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
    assert requests.hand_over(), "it is under way all the same"


async def test_who_is_to_stop_is_not_replaced():
    requests = Requests()
    requests.request()
    assert not requests.hand_over()
    assert await requests.wait() is Wish.STOP
    assert requests.unanswered == ()


async def test_signals_ask():
    requests = Requests()
    for number in (signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    await await_until(lambda: requests.restart.is_set() and requests.reload.is_set())
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        assert await requests.wait() is Wish.STOP
        os.kill(os.getpid(), signal.SIGINT)
        await requests.wait_again()


def masters(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", MASTERS, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_what_was_asked_of_the_first_is_done_by_the_second():
    assert masters("SIGTERM", "stop") == "STOP"
    assert masters("SIGUSR2 SIGHUP", "go on") == "restart and reload"


def test_signals_that_come_between_the_two_are_held():
    assert masters("", "stop", "SIGTERM") == "STOP"
    assert masters("SIGHUP", "go on", "SIGUSR2") == "restart and reload"
