"""Knows who a bot is: asked of Telegram once, kept on disk, asked again now and then.

Runs in: master.
"""

import math

from brama.config.settings import BotSettings
from brama.log import get_logger
from brama.redaction import redact
from supervisor.updates.bot_caller import BotCaller, IntakeServices
from supervisor.updates.model import CommitFailedError
from supervisor.updates.policy import polling, replies

#: An identity from disk is asked for again at a random time within this after intake works, in seconds.
RECHECK_WITHIN_S = 300.0
#: And then this often, in seconds.
RECHECK_EVERY_S = 86_400.0

_log = get_logger(__name__)


class Identity:
    """What getMe says of one bot; the observer is told of it, and of each change."""

    def __init__(self, bot: BotSettings, base_url: str, caller: BotCaller, services: IntakeServices) -> None:
        self._bot = bot
        self._caller = caller
        self._services = services
        self._key = f"identity/{bot.telegram_id}@{base_url}"
        self._raw: bytes | None = None
        self._is_cached = False
        self._recheck_at = math.inf
        self._told_fault: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether it is known, from Telegram or from disk."""
        return self._raw is not None

    def recall(self) -> None:
        """Take what is on disk if nothing is known yet."""
        self._recheck_at = math.inf
        self._told_fault = None
        cached = self._services.ledger.recall_one(self._key)
        if self._raw is None and cached is not None and replies.is_account(cached, self._bot.telegram_id):
            self._raw, self._is_cached = cached, True

    def tell(self) -> None:
        """Tell the observer what is known."""
        if self._raw is not None:
            self._services.observer.identity_known(self._bot.id, self._raw)

    def tell_fault(self, detail: str) -> None:
        """Tell the observer why it is not known; the same reason once after each ``recall``."""
        if detail != self._told_fault:
            self._told_fault = detail
            self._services.observer.identity_unreachable(self._bot.id, redact(detail))

    async def ask(self) -> polling.Identified | polling.Trouble:
        """Ask Telegram."""
        reply = await self._caller.ask("getMe", {})
        if not isinstance(reply, replies.Result):
            return reply
        if not replies.is_account(reply.raw, self._bot.telegram_id):
            return polling.Failed("getMe answered for another account; check telegram.base_url")
        self._announce(reply.raw)
        return polling.Identified()

    def intake_works(self) -> None:
        """Telegram answers this bot: from now on there is a time at which to ask again."""
        if self._recheck_at == math.inf:
            wait_s = RECHECK_WITHIN_S * self._services.jitter() if self._is_cached else RECHECK_EVERY_S
            self._recheck_at = self._services.clock() + wait_s

    async def recheck_if_due(self) -> polling.Rejected | None:
        """Ask again if it is time; trouble with that is none of intake, unless the token is rejected."""
        if self._services.clock() < self._recheck_at:
            return None
        self._recheck_at = self._services.clock() + RECHECK_EVERY_S
        reply = await self._caller.ask("getMe", {})
        if isinstance(reply, polling.Rejected):
            return reply
        if isinstance(reply, replies.Result) and replies.is_account(reply.raw, self._bot.telegram_id):
            if reply.raw != self._raw:
                self._announce(reply.raw)
        else:
            self._recheck_at = self._services.clock() + RECHECK_WITHIN_S
        return None

    def _announce(self, raw: bytes) -> None:
        self._raw, self._is_cached = raw, False
        self.tell()
        self._services.commits.begin(self._remember(raw))

    async def _remember(self, raw: bytes) -> None:
        try:
            await self._services.ledger.remember(self._key, raw)
        except CommitFailedError as error:  # then the next start asks Telegram
            _log.warning("identity.lost", bot=self._bot.id, reason=str(error))
