"""Stand-ins for the runtime's ports."""

import asyncio
from collections.abc import Callable, Sequence

from brama.messages import FromWorker, ToWorker


class FakeChannel:
    """Keeps what was sent; ``pushes`` says how much of it was on the pipe at each push."""

    def __init__(self) -> None:
        self.sent: list[FromWorker] = []
        self.pushes: list[int] = []

    def attach(self, loop: asyncio.AbstractEventLoop, on_messages: Callable[[list[ToWorker]], None]) -> None:
        self.on_messages = on_messages

    def detach(self) -> None: ...

    def send(self, message: FromWorker) -> None:
        self.sent.append(message)

    def push(self) -> None:
        self.pushes.append(len(self.sent))

    def send_now(self, messages: Sequence[FromWorker], timeout_s: float = 5.0) -> bool:
        self.sent.extend(messages)
        return True

    def flush(self, timeout_s: float) -> bool:
        return True
