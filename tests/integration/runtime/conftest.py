"""Workers that run real scripts in real processes against a real sandbox."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.fixtures.sandbox import RunningSandbox, running_sandbox
from tests.integration.runtime.master import Master, Nursery, boot

ZOO = Path(__file__).parents[2] / "bots"

StartBot = Callable[..., Master]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One warm process for the whole run."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.runtime.nursery", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        yield Nursery(ours)
    process.wait(timeout=20)


@pytest.fixture(scope="session")
def api() -> Iterator[RunningSandbox]:
    """One sandbox for the whole run; each test has a bot of its own in it."""
    with running_sandbox() as running:
        yield running


@pytest.fixture
def token(api: RunningSandbox, request: pytest.FixtureRequest) -> str:
    """Return the token of a bot no other test uses."""
    number = 1001 + request.session.items.index(request.node)
    return api.token(number)


@pytest.fixture
def start_bot(nursery: Nursery, api: RunningSandbox, token: str, tmp_path: Path) -> Iterator[StartBot]:
    """Return a function that starts a worker: with a script of the zoo, or with the text of one."""
    masters: list[Master] = []

    def start(script: str, **changes: Any) -> Master:
        entry = ZOO / script
        if "\n" in script:
            entry = tmp_path / "bot.py"
            entry.write_text(dedent(script))
        elif changes.get("kind") == "app":
            entry = Path(script)
        values: dict[str, Any] = {"folder": tmp_path, "base_url": api.base_url, "token": token}
        masters.append(Master(nursery, boot(**values | {"entry": str(entry)} | changes)))
        return masters[-1]

    yield start
    for master in masters:
        master.close()


@pytest.fixture
def sent_texts(api: RunningSandbox, token: str) -> Callable[[], list[str]]:
    """Return a function that returns the texts which the test's bot has sent."""

    def read() -> list[str]:
        number = int(token.partition(":")[0])
        return [call.params["text"] for call in api.control.sent(number) if "text" in call.params]

    return read
