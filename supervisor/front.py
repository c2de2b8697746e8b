"""Runs the webhook server while a bot needs it.

Runs in: master.
"""

from collections.abc import Callable
from typing import Protocol

from brama.config.settings import Settings
from brama.log import get_logger
from supervisor.control.status import WebhookStatus
from supervisor.handover.records import WebhookRecord
from supervisor.reload.policy.plan import needs_webhook

log = get_logger(__name__)


class Server(Protocol):
    """The webhook server."""

    async def start(self) -> None: ...
    def reconfigure(self, settings: Settings) -> None: ...
    def drain(self) -> None: ...
    def status(self) -> WebhookStatus: ...
    def last_seen_at(self, bot_id: str) -> float | None: ...
    def last_refused_at(self, bot_id: str) -> float | None: ...
    def draft(self) -> WebhookRecord: ...
    async def hand_over(self) -> WebhookRecord: ...
    async def aclose(self) -> None: ...


class Front:
    """The webhook server, or none as long as every bot polls.

    Args:
        make: returns a server for a configuration, which goes on with what is left of an earlier one where it
            can; nothing is bound before its start.
        left: that of the master before.
    """

    def __init__(
        self, make: Callable[[Settings, WebhookRecord | None], Server], left: WebhookRecord | None = None
    ) -> None:
        self._make = make
        self._left = left
        self._server: Server | None = None

    async def adapt(self, settings: Settings) -> None:
        """Serve as ``settings`` say, with certificates as they are on disk now.

        Raises:
            BramaError: the address is not to be had, or the certificate is of no use; what ran goes on.
        """
        left, self._left = self._left, None
        if not needs_webhook(settings):
            await self.aclose()
            if left is not None:
                left.close()
        elif self._server is not None:
            self._server.reconfigure(settings)
        else:
            server = self._make(settings, left)
            await server.start()
            self._server = server
            log.info("webhook.listening", address=server.status().address)

    def draft(self) -> WebhookRecord | None:
        """Return what ``hand_over`` would, without file descriptors."""
        return None if self._server is None else self._server.draft()

    async def hand_over(self) -> WebhookRecord | None:
        """Accept nothing more, finish what has begun, and return what another server can go on with."""
        return None if self._server is None else await self._server.hand_over()

    def drain(self) -> None:
        """Take nothing more in: the master is stopping."""
        if self._server is not None:
            self._server.drain()

    def status(self) -> WebhookStatus | None:
        """Return what was taken in, None while there is no server."""
        return None if self._server is None else self._server.status()

    def last_seen_at(self, bot_id: str) -> float | None:
        """Return when the bot's last request with the right secret came, in monotonic seconds."""
        return None if self._server is None else self._server.last_seen_at(bot_id)

    def last_refused_at(self, bot_id: str) -> float | None:
        """Return when a request came for the bot with a wrong secret, in monotonic seconds."""
        return None if self._server is None else self._server.last_refused_at(bot_id)

    async def aclose(self) -> None:
        """Stop listening and finish open requests."""
        server, self._server = self._server, None
        if server is not None:
            await server.aclose()
