"""The sandbox a run plays on: a real process, its own cost left out of every figure."""

import re
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from brama.clock import monotonic_s
from sandbox.client import SandboxControl


class Stage:
    """Runs a sandbox on a free port while entered; ``control`` talks to it.

    Args:
        options: more of its command line.
    """

    def __init__(self, *options: str) -> None:
        self._options = options

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "--port", "0", "--quiet", *self._options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise RuntimeError(f"the sandbox did not start: {line!r}")
        self.base_url = found.group()
        self.control = SandboxControl(self.base_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_answers(self, bots: Sequence[int], count: int, timeout_s: float) -> float:
        """Wait until each of ``bots`` has sent ``count`` calls; return the moment in monotonic seconds.

        Raises:
            TimeoutError: some have not after ``timeout_s``.
        """
        deadline = monotonic_s() + timeout_s
        for bot in bots:
            left_s = max(deadline - monotonic_s(), 0.01)
            if len(self.control.sent(bot, after=0, count=count, wait_s=left_s)) < count:
                raise TimeoutError(f"bot {bot} has not sent {count} answers within {timeout_s:.0f} s")
        return monotonic_s()
