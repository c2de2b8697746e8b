"""Finds out what a request asks for, and has it answered.

Runs in: master.
"""

from collections.abc import Callable
from dataclasses import replace

import msgspec
from aiohttp import web
from multidict import istr

from brama.clock import Clock
from brama.log import get_logger
from webhook.answers import Answer
from webhook.connection import Connection
from webhook.delivery import Delivery
from webhook.gate import Gate
from webhook.policy.access import may_look
from webhook.policy.addresses import HEALTH, STATS, bot_of, own_path
from webhook.policy.outcomes import REPLIES, Outcome, Reply
from webhook.policy.pacing import LOG_EVERY_S, Pace
from webhook.ports import Door
from webhook.stats import ServerStats, encode_stats
from webhook.tallies import Tallies

_AUTHORIZATION = istr("Authorization")
_READING = frozenset({"GET", "HEAD"})
_READING_ONLY = replace(REPLIES[Outcome.METHOD], allow="GET, HEAD")
_FINE = Reply(200)
_ILL = Reply(503, retry_after_s=REPLIES[Outcome.UNWRITTEN].retry_after_s)
log = get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class Routes:
    """The server's addresses.

    Args:
        door: asked for its health.
        delivery: takes in updates.
        gate: tells who asks.
        tallies: where requests are counted that bring no update.
        stats: returns what ``/webhook/stats`` shows.
        api_token: ``api.token``, which lets anybody look.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        door: Door,
        delivery: Delivery,
        gate: Gate,
        tallies: Tallies,
        stats: Callable[[], ServerStats],
        api_token: str | None,
        clock: Clock,
    ) -> None:
        self._door = door
        self._delivery = delivery
        self._gate = gate
        self._tallies = tallies
        self._stats = stats
        self._api_token = api_token
        self._clock = clock
        self._failures = Pace(LOG_EVERY_S)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the answer; whatever happens, there is one."""
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.begin_request()
        try:
            return await self._answer(request)
        except Exception as error:  # a defect of ours; its text may quote the request
            if (more := self._failures.take(self._clock())) is not None:
                log.error("webhook.request_failed", error=type(error).__name__, more=more)
            return Answer(REPLIES[Outcome.UNWRITTEN])
        finally:
            connection.end_request()

    async def _answer(self, request: web.BaseRequest) -> Answer:
        path = own_path(request.rel_url.raw_path, self._gate.path_prefix)
        bot_id = bot_of(path)
        if bot_id is not None and request.method == "POST":
            return Answer(REPLIES[await self._delivery.take(request, bot_id)])
        if path == HEALTH:
            return self._health(request) if request.method in _READING else self._refuse_writing()
        if path == STATS and request.method in _READING:
            if self._may_look(request):
                return Answer(_FINE, encode_stats(self._stats()))
        elif bot_id is not None:
            return self._refuse(Outcome.METHOD)
        return self._refuse(Outcome.NOT_FOUND)

    def _health(self, request: web.BaseRequest) -> Answer:
        reason = "stopping" if self._delivery.is_draining else self._door.trouble()
        if reason is not None and not self._may_look(request):
            reason = "updates cannot be taken in"
        document = _encode({"ok": reason is None, "reason": reason})
        return Answer(_FINE if reason is None else _ILL, document)

    def _may_look(self, request: web.BaseRequest) -> bool:
        authorization = request.headers.getall(_AUTHORIZATION, ())
        return may_look(self._gate.client_of(request), authorization, self._api_token)

    def _refuse(self, outcome: Outcome) -> Answer:
        self._tallies.count(None, outcome, self._clock())
        return Answer(REPLIES[outcome])

    def _refuse_writing(self) -> Answer:
        self._tallies.count(None, Outcome.METHOD, self._clock())
        return Answer(_READING_ONLY)
