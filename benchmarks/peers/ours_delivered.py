"""brama-supervisor whose bots are delivered to."""

from benchmarks.front import WEBHOOK_SECRET, Front
from benchmarks.peers.ours import Ours
from benchmarks.project import Bot, Project
from benchmarks.webhook_order import Target
from brama.ids import BotId, TelegramId
from supervisor.updates.policy.webhook_address import secret_of

#: More than is sent in one measurement, so that nothing is refused because too much waits.
_MAX_BACKLOG = 1_000_000
_MAX_BACKLOG_SIZE = "4GB"


class OursDelivered(Ours):
    """A fleet in mode webhook behind ``front``."""

    settings = "durability full, max_backlog raised"

    def __init__(self, front: Front, extra: dict[str, object] | None = None) -> None:
        super().__init__(
            {
                "mode": "webhook",
                "webhook": front.section,
                "delivery": {"max_backlog": _MAX_BACKLOG, "max_backlog_size": _MAX_BACKLOG_SIZE},
                **(extra or {}),
            }
        )
        self._front = front

    def target(self, project: Project, bot: Bot, *, straight: bool = True) -> Target:
        """Return where the bot's updates go: ``straight`` to the webhook server, or to the front."""
        secret = secret_of(WEBHOOK_SECRET, project.base_url, TelegramId(bot.telegram_id), BotId(bot.name))
        address = f"http://127.0.0.1:{self._front.port}" if straight else self._front.address
        return Target(f"{address}/webhook/{bot.name}", secret)
