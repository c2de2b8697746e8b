"""Tells an operator's webhook of jobs that failed for good, whichever process gave them up.

What is still to be told stands in the table of dead letters, so that it outlasts everything. A death is told
of once, or twice if the master is killed between the post and the note of it.

Runs in: master.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout

from brama.clock import utc_s
from brama.errors import StateError
from brama.log import get_logger
from jobs.policy.alerting import BACKOFF, GiveUp, PostAgain, Told, is_refusal, judge
from jobs.policy.backoff import Backoff
from jobs.storage.dead_letters import DeadLetters, LetterSummary

log = get_logger(__name__)

#: Deaths are told of together: at most one post in so many seconds, of so many letters.
PAUSE_S = 5.0
BATCH = 100
#: Nobody is told of older deaths: those of before there was an address, or of a day without a receiver.
MAX_AGE_S = 86_400.0
_TIMEOUT_S = 10.0
#: How long a post that is under way may take at the end.
_END_S = 3.0


@dataclass(frozen=True, slots=True)
class AlertState:
    """How telling fares.

    Args:
        waiting: letters to be told of, as of the last look.
        told: letters that were, since the start.
        dropped: letters that the other side has refused for good.
        failures: posts that failed.
        error: why the last one did, None if it did not.
    """

    waiting: int = 0
    told: int = 0
    dropped: int = 0
    failures: int = 0
    error: str | None = None


class Alerts:
    """Posts to one address; exactly one process of a state directory does.

    Args:
        letters: the dead letters.
        url: where to.
        token: sent as a bearer token, None for none.
        pause_s: shortest time between two posts, in seconds.
        backoff: waits after posts that fail.
        jitter: 0 up to 1, anew each time.
    """

    def __init__(
        self,
        letters: DeadLetters,
        url: str,
        token: str | None = None,
        *,
        pause_s: float = PAUSE_S,
        backoff: Backoff = BACKOFF,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._letters = letters
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pause_s = pause_s
        self._backoff = backoff
        self._jitter = jitter
        self._failures = self._refusals = 0
        #: Told of, which the table does not say yet: nothing else is told before it does.
        self._unmarked: Sequence[LetterSummary] = ()
        self._state = AlertState()

    @property
    def state(self) -> AlertState:
        """How it fares."""
        return self._state

    async def run(self) -> None:
        """Tell until cancelled; a post under way then gets _END_S seconds, lest it be repeated."""
        async with ClientSession(headers=self._headers, timeout=ClientTimeout(_TIMEOUT_S)) as session:
            while True:
                turn = asyncio.create_task(self._take_turn(session))
                try:
                    wait_s = await asyncio.shield(turn)
                finally:
                    if not turn.done():
                        await asyncio.wait({turn}, timeout=_END_S)
                        turn.cancel()
                await asyncio.sleep(wait_s)

    async def _take_turn(self, session: ClientSession) -> float:
        """Tell of what there is to be told; return seconds until the next turn."""
        try:
            if self._unmarked:
                await self._letters.mark_told(self._unmarked)
                self._unmarked = ()
            since_utc = utc_s() - MAX_AGE_S
            letters = await self._letters.untold(since_utc, BATCH)
            waiting = await self._letters.count_untold(since_utc) if letters else 0
            self._state = replace(self._state, waiting=waiting)
            if letters:
                return await self._tell(session, letters)
        except StateError as error:
            self._say_trouble(str(error))
        return self._pause_s

    async def _tell(self, session: ClientSession, letters: Sequence[LetterSummary]) -> float:
        status, retry_after_s, trouble = await self._post(session, letters)
        if trouble is not None:
            self._failures += 1
            self._refusals += is_refusal(status)
            self._state = replace(self._state, failures=self._state.failures + 1)
        match judge(status, self._failures, self._refusals, self._backoff, retry_after_s, self._jitter()):
            case PostAgain(wait_s):
                self._say_trouble(trouble or "")
                return wait_s
            case Told():
                self._state = replace(self._state, told=self._state.told + len(letters), error=None)
                log.info("alert.sent", letters=len(letters))
            case GiveUp():
                self._state = replace(self._state, dropped=self._state.dropped + len(letters), error=trouble)
                first, last = letters[0].letter_id, letters[-1].letter_id
                log.error("alert.dropped", letters=len(letters), first=first, last=last, reason=trouble)
        self._failures = self._refusals = 0
        self._state = replace(self._state, waiting=max(0, self._state.waiting - len(letters)))
        self._unmarked = letters
        await self._letters.mark_told(letters)
        self._unmarked = ()
        return self._pause_s

    async def _post(
        self, session: ClientSession, letters: Sequence[LetterSummary]
    ) -> tuple[int | None, float, str | None]:
        """Return the answer's status, the wait that it asks for, and what is wrong with it."""
        body = {
            "event": "job.dead",
            "count": self._state.waiting,
            "letters": [_describe(letter) for letter in letters],
        }
        try:
            async with session.post(self._url, json=body, allow_redirects=False) as answer:
                asked = answer.headers.get("Retry-After", "")
                retry_after_s = float(asked) if asked.isascii() and asked.isdigit() else 0.0
                trouble = None if 200 <= answer.status < 300 else f"jobs.alert: answered {answer.status}"
                return answer.status, retry_after_s, trouble
        except TimeoutError:
            return None, 0.0, f"jobs.alert: no answer within {_TIMEOUT_S:g} s"
        except ClientConnectorError as error:
            return None, 0.0, f"jobs.alert: {error}"
        except (
            ClientError,
            OSError,
            ValueError,
        ) as error:  # whose texts may hold the address, a secret at times
            return None, 0.0, f"jobs.alert: the post failed: {type(error).__name__}"

    def _say_trouble(self, trouble: str) -> None:
        if trouble != self._state.error:
            log.warning("alert.not_sent", reason=trouble)
        self._state = replace(self._state, error=trouble)


def _describe(letter: LetterSummary) -> dict[str, Any]:
    return {
        "letter_id": letter.letter_id,
        "queue": letter.queue,
        "name": letter.name,
        "job_id": letter.job_id,
        "cause": letter.cause,
        "error": letter.error,
        "attempts": letter.attempt,
        "died_at": datetime.fromtimestamp(letter.died_utc, UTC).isoformat(timespec="milliseconds"),
    }
