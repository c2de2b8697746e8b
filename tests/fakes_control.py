"""A master without bots behind it, for tests of the control API and of the commands that talk to it.

``python -m tests.fakes_control STATE_DIR [CONFIG]`` serves one as a process of its own until asked to stop.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from brama.errors import BramaError, ConfigError
from brama.ids import BotId, UpdateId
from supervisor.control.job_ports import Jobs
from supervisor.control.jobs_status import (
    EngineState,
    JobAlertStatus,
    JobQueueStatus,
    JobsStatus,
    JobWorkerStatus,
)
from supervisor.control.ports import BotTouch, CommandResult, Health, ReloadResult, RestartResult, Verb
from supervisor.control.server import ControlServer
from supervisor.control.status import MasterState, MasterStatus, OrphanStatus, Status, Totals, WorkerStatus
from supervisor.updates.model import DeadLetter, Reason


def worker(bot_id: str, **changes: object) -> WorkerStatus:
    """Return a running bot's status with ``changes``."""
    plain = WorkerStatus(
        bot_id=bot_id,
        state="RUNNING",
        wanted="RUNNING",
        reason=None,
        mode="polling",
        ingress="ok",
        pid=4711,
        generation=1,
        messages=12,
        errors=0,
        restarts=0,
        uptime=65_000,
        memory_bytes=8_400_000,
        heartbeat_age_ms=400,
        in_flight=0,
        oldest_in_flight_ms=0,
        inbox=0,
    )
    return msgspec.structs.replace(plain, **changes)


CONFIG = "/srv/bots/config/brama.yaml"


def status(*workers: WorkerStatus, state: MasterState = MasterState.RUNNING, config: str = CONFIG) -> Status:
    """Return a master's status with these bots."""
    return Status(
        master=MasterStatus(os.getpid(), "0.1.0", 7_980_000, state, config),
        totals=Totals(
            bots=len(workers),
            running=sum(each.state == "RUNNING" for each in workers),
            inbox=sum(each.inbox for each in workers),
            dead_letters=0,
            duplicates=3,
        ),
        workers=workers,
    )


def jobs_status(**changes: object) -> JobsStatus:
    """Return the status of a queue in trouble with ``changes``."""
    plain = JobsStatus(
        engine=EngineState.DOWN,
        reason="the Redis server: Connection refused",
        server="redis://127.0.0.1:6379",
        server_pid=None,
        waiting=3,
        active=1,
        delayed=0,
        failed=2,
        dead_letters=2,
        outbox=4,
        workers=(
            JobWorkerStatus(4712, "RUNNING", 65_000, 1, 120, 2, 45_000_000, 0, 400),
            JobWorkerStatus(None, "BACKOFF", 0, 0, 0, 0, 0, 5, None, "exit code 1; again in 5 s"),
        ),
        queues=(JobQueueStatus("reports", 3, 1, 0, 100, 2, is_paused=True),),
        causes={"timeout": 2},
        alert=JobAlertStatus(1, 3, 0, 7, "jobs.alert: answered 500"),
    )
    return msgspec.structs.replace(plain, **changes)


def letter(letter_id: int, bot_id: str = "shop", **changes: object) -> DeadLetter:
    """Return a dead letter with ``changes``."""
    plain = DeadLetter(
        letter_id=letter_id,
        bot_id=BotId(bot_id),
        update_id=UpdateId(900 + letter_id),
        kind="message",
        reason=Reason.HANDLER_ERROR,
        error="ValueError: no such pizza",
        detail="",
        traceback="Traceback (most recent call last):\n  handlers.py line 3\nValueError: no such pizza\n",
        attempts=1,
        received_utc=1_700_000_000.0,
        died_utc=1_700_000_001.0,
        size_bytes=20,
        raw=b'{"text": "a secret"}',
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class FakeMaster:
    """Does at once what it is told, and keeps count."""

    def __init__(
        self, *workers: WorkerStatus, letters: Sequence[DeadLetter] = (), config: str = CONFIG
    ) -> None:
        self.config = config
        self.workers = {each.bot_id: each for each in workers}
        self.letters = {each.letter_id: each for each in letters}
        self.state = MasterState.RUNNING
        self.healthy = Health(ok=True, state="running")
        self.refusal: str | None = None
        self.commands: list[tuple[Verb, tuple[str, ...] | None]] = []
        self.replayed: list[int] = []
        self.dropped: list[int] = []
        self.stop_requested = asyncio.Event()
        self.problems: list[str] = []
        self.reloads: list[bool] = []
        self.reload_result = ReloadResult(bots=(), applied=(), waiting=())
        self.orphans: list[OrphanStatus] = []
        #: Where a bot gets when it is started, and why.
        self.fate = ("RUNNING", None)
        self.crash: Exception | None = None
        #: Hot restarts, bots still to be renewed (one fewer with each look), why the last restart failed.
        self.hot_restarts = self.renewing = 0
        self.restart_problems: tuple[str, ...] = ()
        self.renewal_obstacle: str | None = None
        #: What comes of a restart that has begun; and how many looks at the status are broken off then.
        self.succeed: Callable[[], None] = self.be_replaced
        self.breaks = 0
        self.patience_s = 1.0
        self.renews = True
        self.jobs: JobsStatus | None = None

    def status(self) -> Status:
        if self.crash is not None:
            raise self.crash
        if self.breaks:
            self.breaks -= 1
            raise asyncio.CancelledError  # aiohttp ends the connection without an answer
        plain = status(*self.workers.values(), state=self.state, config=self.config)
        master = msgspec.structs.replace(
            plain.master,
            hot_restarts=self.hot_restarts,
            renewing=self.renewing,
            restart_problems=self.restart_problems,
            renewal_obstacle=self.renewal_obstacle,
        )
        self.renewing -= self.renews and self.renewing > 0
        return msgspec.structs.replace(plain, master=master, orphans=tuple(self.orphans), jobs=self.jobs)

    def health(self) -> Health:
        return Health(ok=True, state=self.state) if self.healthy.ok else self.healthy

    async def command(self, verb: Verb, bots: Sequence[str] | None) -> list[CommandResult]:
        if self.refusal is not None:
            raise BramaError(self.refusal)
        self.commands.append((verb, None if bots is None else tuple(bots)))
        results = []
        for bot in self.workers if bots is None else bots:
            before = self.workers[bot]
            state, reason = ("STOPPED", None) if verb is Verb.STOP else self.fate
            runs = state == "RUNNING"
            self.workers[bot] = msgspec.structs.replace(
                before,
                state=state,
                reason=reason,
                wanted="STOPPED" if verb is Verb.STOP else "RUNNING",
                pid=4800 if runs else None,
                generation=before.generation + (verb is Verb.RESTART),
            )
            results.append(CommandResult(bot, state))
        return results

    async def dead_letters(self, bot: str | None, limit: int, before: int | None) -> Sequence[DeadLetter]:
        ids = sorted(self.letters, reverse=True)
        found = [self.letters[each] for each in ids if before is None or each < before]
        return [each for each in found if bot in (None, each.bot_id)][:limit]

    async def dead_letter(self, letter_id: int) -> DeadLetter | None:
        return self.letters.get(letter_id)

    async def replay(self, letter_ids: Sequence[int]) -> int:
        self.replayed += letter_ids
        return sum(self.letters.pop(each, None) is not None for each in letter_ids)

    async def drop(self, letter_ids: Sequence[int]) -> int:
        self.dropped += letter_ids
        return sum(self.letters.pop(each, None) is not None for each in letter_ids)

    async def restart(self) -> RestartResult:
        if self.problems:
            raise ConfigError("\n".join(self.problems))
        if self.refusal is not None:
            raise BramaError(self.refusal)
        asyncio.get_running_loop().call_later(0.1, self.succeed)  # when this is answered
        return RestartResult(os.getpid(), "0.2.0", self.hot_restarts, patience_s=self.patience_s)

    def be_replaced(self) -> None:
        """Be another one from now on, whose bots are to be renewed, and seen only after a moment."""
        self.hot_restarts += 1
        self.renewing, self.breaks = len(self.workers), 2

    def fail_to_renew(self, *problems: str) -> None:
        """Be another one from now on, whose bots serve on as they are."""
        self.be_replaced()
        self.renewal_obstacle = "the zygote is not warm yet"
        self.restart_problems = problems

    def fail_to_be_replaced(self) -> None:
        """Go on, and say why."""
        self.restart_problems = ("it cannot be executed: No such file or directory",)

    async def reload(self, *, dry_run: bool) -> ReloadResult:
        if self.problems:
            raise ConfigError("\n".join(self.problems))
        if self.refusal is not None:
            raise BramaError(self.refusal)
        self.reloads.append(dry_run)
        return self.reload_result

    async def drop_orphan(self, telegram_id: int) -> int:
        orphans = {each.telegram_id: each for each in self.orphans}
        if telegram_id not in orphans:
            raise BramaError(f"nothing is kept of a bot {telegram_id} that is not configured")
        self.orphans = [each for each in self.orphans if each.telegram_id != telegram_id]
        return orphans[telegram_id].inbox + orphans[telegram_id].dead_letters

    def request_stop(self) -> None:
        self.state = MasterState.STOPPING
        self.stop_requested.set()


def serve(
    master: FakeMaster, state_dir: Path, token: str | None = None, jobs: Jobs | None = None
) -> ControlServer:
    """Return a server for ``master`` on a free port."""
    return ControlServer(
        master, state_dir=state_dir, host="127.0.0.1", port=0, token=token, stop_timeout_s=10.0, jobs=jobs
    )


async def _main(state_dir: Path, config: str = CONFIG) -> None:
    master = FakeMaster(worker("shop"), worker("support"), config=config)
    master.orphans = [OrphanStatus(1003, "news", 12, 3), OrphanStatus(1004, None, 0, 1)]
    if config.endswith("wrong.yaml"):
        master.problems = [f"{config}:3: bots[0].script: is missing", f"{config}:9: bots[1].id: is missing"]
    match Path(config).stem:
        case "refused":
            master.refusal = "/srv/brama-supervisor cannot take over (exit code 1): it has a bug"
        case "missing":
            master.succeed = master.fail_to_be_replaced
        case "dying":
            master.succeed = partial(os._exit, 1)
        case "busy":
            master.renews = False
        case "waiting":
            master.renews, master.patience_s = False, 600.0
        case "unwarmed":
            master.renews, master.succeed = False, master.fail_to_renew
    touched = (BotTouch("shop", "restart", ("script", "env")), BotTouch("news", "add"))
    master.reload_result = ReloadResult(touched, ("limits.max_workers",), ("api.port",), ("a warning",))
    server = serve(master, state_dir)
    await server.start()
    print("serving", flush=True)
    await master.stop_requested.wait()
    await server.aclose()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the real one
        runner.run(_main(Path(sys.argv[1]), *sys.argv[2:]))
