"""Takes in what ``POST /webhook/{bot_id}`` brings: admission, body, commit, answer.

Runs in: master.
"""

from aiohttp import web
from multidict import istr

from brama.clock import Clock
from brama.log import get_logger
from webhook.body import find_fault, read_body
from webhook.gate import Gate
from webhook.policy.admission import decide_admission
from webhook.policy.networks import Address
from webhook.policy.outcomes import Outcome, outcome_of
from webhook.policy.pacing import LOG_EVERY_S, Pace
from webhook.ports import Door
from webhook.settings import Bounds
from webhook.tallies import Tallies

_SECRET = istr("X-Telegram-Bot-Api-Secret-Token")
log = get_logger(__name__)


class Delivery:
    """Brings updates to ``door``.

    Args:
        door: where they go.
        gate: who may bring them.
        tallies: where each request's end is counted.
        bounds: how long a body may take, and how many requests are served at once.
        clock: monotonic seconds.
    """

    def __init__(self, door: Door, gate: Gate, tallies: Tallies, bounds: Bounds, clock: Clock) -> None:
        self._door = door
        self._gate = gate
        self._tallies = tallies
        self._bounds = bounds
        self._clock = clock
        self._outsiders = Pace(LOG_EVERY_S)
        self._failures = Pace(LOG_EVERY_S)
        self.serving = 0
        self.is_draining = False

    async def take(self, request: web.BaseRequest, bot_id: str) -> Outcome:
        """Return how the request ended; it has been counted."""
        expected = self._door.secret_of(bot_id)
        outcome = await self._take(request, bot_id, expected)
        self._tallies.count(None if expected is None else bot_id, outcome, self._clock())
        return outcome

    async def _take(self, request: web.BaseRequest, bot_id: str, expected: str | None) -> Outcome:
        if refusal := self._admit(request, bot_id, expected):
            return refusal
        self._tallies.note_seen(bot_id, self._clock())
        if self.is_draining:
            return Outcome.DRAINING
        if fault := find_fault(request, self._gate.max_body_bytes):
            return fault
        if self.serving >= self._bounds.max_serving:
            return Outcome.BUSY
        self.serving += 1
        try:
            raw = await read_body(request, self._gate.max_body_bytes, self._bounds.body_s)
            if isinstance(raw, Outcome):
                return raw
            return await self._commit(bot_id, raw)
        finally:
            self.serving -= 1

    def _admit(self, request: web.BaseRequest, bot_id: str, expected: str | None) -> Outcome | None:
        gate = self._gate
        client = gate.client_of(request) if gate.checks_networks else None
        is_outside = gate.checks_networks and not gate.is_telegram(client)
        refusal = decide_admission(
            expected, request.headers.getall(_SECRET, ()), is_shut_out=is_outside and gate.shuts_out
        )
        if is_outside and refusal in {None, Outcome.NETWORK}:
            self._warn_of_outsider(bot_id, client, refusal)
        return refusal

    async def _commit(self, bot_id: str, raw: bytes) -> Outcome:
        began_at = self._clock()
        try:
            arrival = await self._door.accept(bot_id, raw)
        except Exception as error:  # its text may quote the update
            if (more := self._failures.take(self._clock())) is not None:
                log.error("webhook.accept_failed", bot=bot_id, error=type(error).__name__, more=more)
            return Outcome.UNWRITTEN
        outcome = outcome_of(arrival)
        if outcome in {Outcome.ACCEPTED, Outcome.DUPLICATE}:
            now = self._clock()
            self._tallies.note_commit(bot_id, now - began_at, now)
        return outcome

    def _warn_of_outsider(self, bot_id: str, client: Address | None, refusal: Outcome | None) -> None:
        """Say that an address is not in ``webhook.telegram_networks``: it may be Telegram's all the same."""
        if (more := self._outsiders.take(self._clock())) is None:
            return
        log.warning(
            "webhook.outsider_refused" if refusal else "webhook.outsider_admitted",
            bot=bot_id,
            client="unknown" if client is None else str(client),
            more=more,
        )
