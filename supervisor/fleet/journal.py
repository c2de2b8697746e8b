"""Keeps on disk what the next master must know: what is wanted, whose uid is whose, who sleeps, who lives.

Runs in: master.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from brama.errors import BramaError
from brama.ids import BotId
from brama.log import get_logger
from supervisor.fleet.leftovers import decode_records, encode_records
from supervisor.fleet.policy.model import Wanted
from supervisor.fleet.ports import Store

_WANTED = "wanted/"
_UID = "uid/"
_ASLEEP = "asleep/"
_PROCESSES = "processes"
#: Processes come and go, and bots fall asleep, in bursts; what was written down is at most this old.
_SETTLE_S = 0.5
#: A full disk must not keep the master from ending; the next one looks for marks all the same.
_LAST_WRITE_S = 2.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recalled:
    """What an earlier master left: ``processes`` as (pid, started_ticks), of this boot of the machine."""

    wanted: Mapping[BotId, Wanted]
    uids: Mapping[BotId, int]
    asleep: frozenset[BotId]
    processes: frozenset[tuple[int, int]]


class Journal:
    """The fleet's part of the state file.

    Args:
        store: the ledger's small table.
        spawn: runs a coroutine in the application's task group.
        processes: returns the living processes as (pid, started_ticks).
    """

    def __init__(
        self,
        store: Store,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        processes: Callable[[], Iterable[tuple[int, int]]],
    ) -> None:
        self._store = store
        self._spawn = spawn
        self._processes = processes
        self._timer: asyncio.TimerHandle | None = None
        self._slept: dict[BotId, bool] = {}
        self._closed = False

    def recall(self) -> Recalled:
        """Return what an earlier master wrote."""
        wanted = self._store.recall(_WANTED)
        uids = self._store.recall(_UID)
        processes = self._store.recall(_PROCESSES)
        return Recalled(
            {BotId(key.removeprefix(_WANTED)): _wanted(value) for key, value in wanted.items()},
            {BotId(key.removeprefix(_UID)): int(value) for key, value in uids.items()},
            frozenset(BotId(key.removeprefix(_ASLEEP)) for key in self._store.recall(_ASLEEP)),
            decode_records(processes.get(_PROCESSES)),
        )

    async def remember_wanted(self, wanted: Mapping[BotId, Wanted | None]) -> None:
        """Write what operators want, None being the configuration's wish; returns when it is durable.

        Raises:
            BramaError: it could not be written.
        """
        await asyncio.gather(
            *(
                self._store.forget(f"{_WANTED}{bot}")
                if value is None
                else self._store.remember(f"{_WANTED}{bot}", value.encode())
                for bot, value in wanted.items()
            )
        )

    async def remember_uids(self, uids: Mapping[BotId, int]) -> None:
        """Write whose uid is whose."""
        await asyncio.gather(
            *(self._store.remember(f"{_UID}{bot}", str(uid).encode()) for bot, uid in uids.items())
        )

    def slept(self, bot_id: BotId, *, is_asleep: bool) -> None:
        """Write down soon whether the bot is to start asleep under the next master."""
        self._slept[bot_id] = is_asleep
        self.processes_changed()

    def processes_changed(self) -> None:
        """Write the processes down soon."""
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(_SETTLE_S, self._write_soon)

    async def close(self) -> None:
        """Write down the processes that are left at the end: none, if all went well."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            async with asyncio.timeout(_LAST_WRITE_S):
                await self._write()
        except TimeoutError:
            log.warning("fleet.records_unwritten", detail="the state file takes too long")

    def _write_soon(self) -> None:
        self._timer = None
        self._spawn(self._write())

    async def _write(self) -> None:
        slept, self._slept = self._slept, {}
        keys = {f"{_ASLEEP}{bot}": is_asleep for bot, is_asleep in slept.items()}
        try:
            await asyncio.gather(
                self._store.remember(_PROCESSES, encode_records(self._processes())),
                *(
                    self._store.remember(key, b"1") if is_asleep else self._store.forget(key)
                    for key, is_asleep in keys.items()
                ),
            )
        except BramaError as error:
            self._slept = {**slept, **self._slept}
            log.warning("fleet.records_unwritten", detail=str(error))


def _wanted(value: bytes) -> Wanted:
    return Wanted.STOPPED if value == Wanted.STOPPED.encode() else Wanted.RUNNING
