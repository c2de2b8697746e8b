"""Has workers forked, whatever happens to the zygote meanwhile.

Every request is answered exactly once. A zygote that dies, or does not answer, is replaced; what it still
owed is asked of the next one, and no bot that runs notices.

Runs in: master.
"""

import asyncio
import multiprocessing
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIGKILL
from typing import Any

from brama.clock import monotonic_s
from brama.errors import ZygoteError
from brama.ids import BotId, Generation
from brama.log import get_logger
from brama.messages import Fork, Forked, ForkFailed, FromZygote, Refused, Warm
from supervisor.fleet.ports import Answer, Birth
from supervisor.fleet.zygote_process import ZygoteProcess
from supervisor.fleet.zygote_start import ZYGOTE_MODULE, StartedZygote, start_zygote, zygote_environment

#: Requests on their way at a time; the zygote answers up to 16 of them together.
MAX_ASKED = 32
#: A zygote that does not answer for this long hangs.
ANSWER_LIMIT_S = 30.0
#: Importing and warming up takes a second on an idle machine.
WARM_LIMIT_S = 120.0
#: Waits before the first, second, ... replacement in a row.
REPLACE_AFTER_S = (0.0, 0.5, 2.0, 5.0, 15.0)
#: A zygote that was of use for this long is no sign of trouble when it dies.
FORGIVEN_AFTER_S = 60.0
#: How often a zygote may be killed, by whom or whatever, before a start of the master fails for it.
KILLED_AT_START = 3
#: The zygote's socket was full; it forks one worker in some 2 ms.
_RETRY_SEND_S = 0.005
_KILLED = f"signal {SIGKILL.value}"

_Key = tuple[BotId, Generation]
log = get_logger(__name__)


@dataclass(slots=True)
class _Request:
    answer: Answer
    pipe: "Connection[Any, Any] | None" = None
    withdrawn: bool = False


@dataclass(slots=True)
class _Life:
    """One zygote's life as the client sees it."""

    process: ZygoteProcess
    warm: Warm | None = None
    warm_at: float = 0.0
    #: Its failure has been told to who waits for it, in better words than its death will have.
    is_told: bool = False
    heard_at: float = 0.0
    asked: "OrderedDict[_Key, _Request]" = field(default_factory=OrderedDict)


class ZygoteClient:
    """Keeps one zygote alive and asks it for forks.

    Args:
        preload: modules that it imports for all bots.
        project_root: where they are looked for.
        environ: the master's environment, of which it gets an allow-listed part.
        module: what ``python -m`` runs as the zygote.
        started: the first zygote, if it was executed already.
    """

    def __init__(
        self,
        preload: Sequence[str],
        project_root: Path,
        environ: Mapping[str, str],
        module: str = ZYGOTE_MODULE,
        started: StartedZygote | None = None,
    ) -> None:
        self._environment = zygote_environment(environ, preload, project_root)
        self._module = module
        self._started = started
        self._waiting: OrderedDict[_Key, _Request] = OrderedDict()
        self._life: _Life | None = None
        #: Resolved by the first zygote that is warm, or by one that fails.
        self._warmed: asyncio.Future[Warm] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._failures = 0
        self._trouble: str | None = None
        self._closing: asyncio.Future[None] | None = None

    @property
    def pid(self) -> int | None:
        """The living zygote's pid."""
        return self._life.process.pid if self._life else None

    @property
    def owes_answers(self) -> bool:
        """Whether a process may exist that the fleet has not been told of."""
        return self._life is not None and bool(self._life.asked)

    @property
    def memory_bytes(self) -> int:
        """Anonymous memory that every fresh worker shares with the zygote; 0 before it is warm."""
        return self._life.warm.rss_anon_bytes if self._life and self._life.warm else 0

    @property
    def trouble(self) -> str | None:
        """Why no worker can be forked at the moment; None: it can."""
        return self._trouble

    def launch(self) -> None:
        """Start the first zygote now, so that it warms up while the master does. To be called in the loop.

        Raises:
            ZygoteError: it cannot be executed.
        """
        if self._warmed is None:
            self._warmed = asyncio.get_running_loop().create_future()
            try:
                self._start()
            except OSError as error:
                self._replace_later()
                raise ZygoteError(_not_started(error)) from None

    async def wait_warm(self) -> Warm:
        """Start the first zygote unless ``launch`` did, and wait until it can fork.

        After a failure others follow with growing waits; a further call waits for what becomes of the next.

        Raises:
            ZygoteError: it cannot be used as configured; the text names the key to change.
        """
        self.launch()
        assert self._warmed is not None
        try:
            return await asyncio.shield(self._warmed)
        except ZygoteError:
            if self._closing is None:
                self._warmed = asyncio.get_running_loop().create_future()
            raise

    def fork(self, bot_id: BotId, generation: Generation, answer: Answer) -> None:
        """Ask for a process; ``answer`` is called once, later, in the loop."""
        self._waiting[bot_id, generation] = _Request(answer)
        self._ask()

    def withdraw(self, bot_id: BotId, generation: Generation) -> None:
        """Forget a request if the zygote has not been asked; it is answered as failed in any case but one.

        That one: the zygote has been asked and answers with a process, which the caller then has to end.
        """
        key = (bot_id, generation)
        if (request := self._waiting.pop(key, None)) is not None:
            asyncio.get_running_loop().call_soon(request.answer, "withdrawn")
        elif self._life and (request := self._life.asked.get(key)) is not None:
            request.withdrawn = True

    async def aclose(self) -> None:
        """End the zygote and answer what is still open as failed."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_future()
            self._cancel_timers()
            self._fail(ZygoteError("the supervisor stops before the zygote is warm"))
            if self._life:
                self._life.process.kill()
            else:
                self._closing.set_result(None)
        await asyncio.shield(self._closing)
        self._answer_rest("the supervisor is stopping")

    # --- the zygote's life --------------------------------------------------------------------

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        started, self._started = self._started, None
        started = started or start_zygote(self._environment, self._module)
        process = ZygoteProcess(loop, started, self._heard, self._died)
        self._life = _Life(process, heard_at=monotonic_s())
        self._watch(WARM_LIMIT_S)

    def _replace(self) -> None:
        self._timer = None
        try:
            self._start()
        except OSError as error:
            log.error("zygote.failed", detail=str(error))
            self._fail(ZygoteError(_not_started(error)))
            self._replace_later()

    def _replace_later(self) -> None:
        delay_s = REPLACE_AFTER_S[min(self._failures, len(REPLACE_AFTER_S) - 1)]
        self._failures += 1
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._replace)

    def _heard(self, message: FromZygote) -> None:
        life = self._life
        assert life is not None
        life.heard_at = monotonic_s()
        match message:
            case Warm():
                life.warm, life.warm_at, self._trouble = message, life.heard_at, None
                self._cancel_timers()  # the watchdog's limit was that of a warm-up
                log.info("zygote.warmed", pid=message.pid, warm_up_ms=round(message.warm_up_ms))
                if self._warmed is not None and not self._warmed.done():
                    self._warmed.set_result(message)
            case Refused(detail):
                log.error("zygote.refused", detail=detail)
                self._trouble = detail
                self._fail(ZygoteError(detail), life)
            case Forked(bot_id, generation, pid):
                self._answer_born(life, (BotId(bot_id), Generation(generation)), pid)
            case ForkFailed(bot_id, generation, detail):
                self._answer_failed(life, (BotId(bot_id), Generation(generation)), detail)
        self._ask()

    def _died(self, how: str) -> None:
        life, self._life = self._life, None
        assert life is not None
        self._cancel_timers()
        for key, request in reversed(life.asked.items()):
            self._take_back(key, request)
        if self._closing is not None:
            self._closing.set_result(None)
            return
        log.warning("zygote.died", pid=life.process.pid, how=how, unanswered=len(life.asked))
        self._trouble = self._trouble or f"the zygote ended ({how}) and is being replaced"
        if life.warm is None:
            if not life.is_told and (how != _KILLED or self._failures + 1 >= KILLED_AT_START):
                words = f"the zygote ended before it was warm ({how}); master.log shows what it wrote"
                self._fail(ZygoteError(words))
        elif monotonic_s() - life.warm_at >= FORGIVEN_AFTER_S:
            self._failures = 0
        self._replace_later()

    def _fail(self, error: ZygoteError, life: _Life | None = None) -> None:
        """Tell who waits for a warm zygote; later on it is a matter of trying again."""
        if life is not None:
            life.is_told = True
        if self._warmed is not None and not self._warmed.done():
            self._warmed.set_exception(error)
            self._warmed.exception()  # retrieved: whoever waits is told all the same

    def _take_back(self, key: _Key, request: _Request) -> None:
        """A request of a dead zygote: nobody answers it, and a half-born worker sees its pipe end."""
        if request.pipe is not None:
            request.pipe.close()
            request.pipe = None
        if request.withdrawn:
            asyncio.get_running_loop().call_soon(request.answer, "withdrawn")
        else:
            self._waiting[key] = request
            self._waiting.move_to_end(key, last=False)

    def _watch(self, limit_s: float) -> None:
        if self._watchdog is None:
            self._watchdog = asyncio.get_running_loop().call_later(limit_s, self._check)

    def _check(self) -> None:
        """Kill a zygote that owes something and has been silent for too long."""
        self._watchdog = None
        life = self._life
        if life is None or (life.warm and not life.asked):
            return
        limit_s = ANSWER_LIMIT_S if life.warm else WARM_LIMIT_S
        silent_s = monotonic_s() - life.heard_at
        if silent_s < limit_s:
            self._watch(limit_s - silent_s)
            return
        log.error("zygote.hung", pid=life.process.pid, silent_s=round(silent_s))
        if life.warm is None:
            words = f"the zygote was not warm within {limit_s:g} s; is it zygote.preload?"
            self._fail(ZygoteError(words), life)
        life.process.kill()

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._watchdog):
            if timer is not None:
                timer.cancel()
        self._timer = self._watchdog = None

    # --- requests -----------------------------------------------------------------------------

    def _ask(self) -> None:
        """Send what waits, as far as the zygote is to have work at a time."""
        life = self._life
        if life is None or life.warm is None or self._closing is not None:
            return
        while self._waiting and len(life.asked) < MAX_ASKED:
            key, request = next(iter(self._waiting.items()))
            try:
                request.pipe, theirs = multiprocessing.Pipe()
            except OSError as error:
                del self._waiting[key]
                asyncio.get_running_loop().call_soon(request.answer, f"no pipe: {error.strerror}")
                continue
            with theirs:
                sent = life.process.try_send(Fork(*key), theirs.fileno())
            if not sent:
                request.pipe.close()
                request.pipe = None
                asyncio.get_running_loop().call_later(_RETRY_SEND_S, self._ask)
                return
            if not life.asked:
                life.heard_at = monotonic_s()
            del self._waiting[key]
            life.asked[key] = request
            self._watch(ANSWER_LIMIT_S)

    def _answer_born(self, life: _Life, key: _Key, pid: int) -> None:
        request = life.asked.pop(key, None)
        if request is None or request.pipe is None:
            log.error("zygote.misunderstood", detail=f"forked {pid} for {key}, which nobody asked for")
            return
        pipe, request.pipe = request.pipe, None
        request.answer(Birth(pid, pipe))

    def _answer_failed(self, life: _Life, key: _Key, detail: str) -> None:
        request = life.asked.pop(key, None)
        if request is None:
            return
        if request.pipe is not None:
            request.pipe.close()
        request.answer(detail)

    def _answer_rest(self, detail: str) -> None:
        while self._waiting:
            _, request = self._waiting.popitem(last=False)
            request.answer(detail)


def _not_started(error: OSError) -> str:
    return f"the zygote cannot be started: {error}"
