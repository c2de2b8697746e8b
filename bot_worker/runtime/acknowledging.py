"""Acknowledges updates once the state they left behind is saved, in groups.

After a crash the saved state may be ahead of the acknowledged updates, never behind.

Runs in: worker.
"""

import asyncio
from contextvars import Context
from typing import NamedTuple

from bot_worker.runtime.notices import Notices
from bot_worker.runtime.outbox import Outbox
from bot_worker.runtime.policy.failure import Failure
from bot_worker.runtime.policy.flush_pace import Verdict, judge, next_pause_s
from bot_worker.runtime.ports import AnyApplication
from bot_worker.runtime.tracker import Entry
from brama.clock import monotonic_s


class Ending(NamedTuple):
    """How an update ended."""

    seq: int
    failure: Failure | None
    wrote: bool


class Acknowledger:
    """Hears the moments of all updates; keeps each end back until a saving that began after it has worked."""

    def __init__(self, outbox: Outbox, notices: Notices) -> None:
        self._outbox = outbox
        self._notices = notices
        self._application: AnyApplication | None = None
        self._waiting: list[Ending] = []
        self._armed = False
        self._saving: asyncio.Task[None] | None = None
        self._failures = 0
        self._hopeless = False
        self._next_at = 0.0
        self.begun = outbox.begun
        self.released = outbox.released

    def keep_for(self, application: AnyApplication) -> None:
        """Save the state of ``application``, which has a persistence, before each acknowledgement."""
        self._application = application
        self._armed = False

    def done(self, entry: Entry) -> None:
        """An update has come to its end."""
        is_retryable = entry.failure is not None and entry.failure.is_retryable
        if self._application is None or is_retryable:  # nothing is acknowledged by a retry
            self._report_one(entry.seq, entry.failure, entry.wrote)
        else:
            self._waiting.append(Ending(entry.seq, entry.failure, entry.wrote))
            if self._hopeless:
                self._report(self.take_group())
            self._arm(self._application)

    async def settle(self) -> None:
        """Save until nothing waits for it any more."""
        while self._application is not None and self._waiting:
            await asyncio.sleep(max(0.0, self._next_at - monotonic_s()) if self._failures else 0.0)
            await self._save(self._application)

    async def save(self) -> bool:
        """Save now, if there is something that keeps state; return whether that worked."""
        if self._application is None:
            return True
        await self._save(self._application)
        return not self._failures

    # --- around each saving, whoever asked for it ---------------------------------------------------

    def take_group(self) -> list[Ending]:
        """Return the ends that a saving which begins now covers."""
        group, self._waiting = self._waiting, []
        return group

    def put_back(self, group: list[Ending]) -> None:
        """Have a group wait for the next saving; this one was cut off."""
        self._waiting[:0] = group

    def saved(self, group: list[Ending], errors: list[BaseException]) -> None:
        """Report a group after its saving, which met ``errors``, or keep it for the next one."""
        self._failures = self._failures + 1 if errors else 0
        verdict = judge(errors, self._failures)
        self._hopeless = verdict is Verdict.HOPELESS
        if verdict is Verdict.AGAIN:
            self.put_back(group)
        else:
            self._report(group)
        if errors:
            self._say(verdict, errors[0])

    def _say(self, verdict: Verdict, error: BaseException) -> None:
        failed = f"the bot's persistence failed: {type(error).__name__}: {error}".partition("\n")[0]
        if verdict is Verdict.AGAIN:
            self._notices.say("persistence_failed", f"{failed}; updates stay unacknowledged, trying again")
        else:
            text = f"{failed}; its state is not saved, updates are acknowledged all the same"
            self._notices.say("persistence_hopeless", text)

    def _report(self, endings: list[Ending]) -> None:
        for ending in endings:
            self._report_one(*ending)

    def _report_one(self, seq: int, failure: Failure | None, wrote: bool) -> None:
        if failure is None:
            self._outbox.processed(seq)
        else:
            self._outbox.failed(seq, failure, wrote=wrote)

    # --- savings of our own -------------------------------------------------------------------------

    def _arm(self, application: AnyApplication) -> None:
        if not self._armed:
            self._armed = True
            loop = asyncio.get_running_loop()
            delay_s = max(0.0, self._next_at - monotonic_s())
            loop.call_later(delay_s, self._begin, loop, application, context=Context())

    def _begin(self, loop: asyncio.AbstractEventLoop, application: AnyApplication) -> None:
        self._saving = loop.create_task(self._save_group(application), name="brama: save state")

    async def _save_group(self, application: AnyApplication) -> None:
        await self._save(application)
        self._armed = False
        if self._waiting:
            self._arm(application)

    async def _save(self, application: AnyApplication) -> None:
        started_at = monotonic_s()
        waiting, count = self._waiting, len(self._waiting)
        errors: list[BaseException] = []
        try:
            await application.update_persistence()
        except Exception as error:
            errors.append(error)
        if self._waiting is waiting:  # a subclass that saves in its own way, or fails before it does
            group, self._waiting = waiting[:count], waiting[count:]
            self.saved(group, errors)
        ended_at = monotonic_s()
        self._next_at = ended_at + next_pause_s(ended_at - started_at, self._failures)
