"""Joins the reports of many updates into few messages.

A Begun is on the pipe before the handler's first statement, since only an update known to have begun can be
blamed for a death; what was reported before it goes along, so a busy bot writes once for each update.

Runs in: worker.
"""

import asyncio
from collections.abc import Sequence

from bot_worker.runtime.policy.failure import Failure
from bot_worker.runtime.ports import Channel
from brama.messages import Begun, Processed, Released, Returned


class Outbox:
    """Collects row numbers and sends them, in the order of events, at the end of the loop's turn."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._released: list[int] = []
        self._processed: list[int] = []
        self._scheduled = False

    def begun(self, seq: int) -> None:
        """Report at once; what the pipe does not take now goes before anything later."""
        self.send()
        self._channel.send(Begun([seq]))
        self._channel.push()

    def released(self, seq: int) -> None:
        """Report that the next may start."""
        self._released.append(seq)
        self._schedule()

    def processed(self, seq: int) -> None:
        """Acknowledge."""
        self._processed.append(seq)
        self._schedule()

    def failed(self, seq: int, failure: Failure, *, wrote: bool) -> None:
        """Report that no error handler took an exception of this update."""
        self.send()
        self._channel.send(failure.message(seq, wrote=wrote))

    def returned(self, seqs: Sequence[int]) -> None:
        """Give updates back that never began."""
        if seqs:
            self.send()
            self._channel.send(Returned(list(seqs)))

    def send(self) -> None:
        """Hand over to the channel what was collected."""
        self._scheduled = False
        if self._released:
            released, self._released = self._released, []
            self._channel.send(Released(released))
        if self._processed:
            processed, self._processed = self._processed, []
            self._channel.send(Processed(processed))

    def _schedule(self) -> None:
        if not self._scheduled:
            try:
                asyncio.get_running_loop().call_soon(self.send)
                self._scheduled = True
            except RuntimeError:  # no loop runs any more
                self.send()
