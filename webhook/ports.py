"""What the webhook server asks of the master.

Runs in: master.
"""

from typing import Protocol

from brama.arrival import Arrival


class Door(Protocol):
    """Where updates go. All calls come from the master's loop."""

    def secret_of(self, bot_id: str) -> str | None:
        """Return the secret that Telegram sends for the bot, None if no bot has this id."""

    async def accept(self, bot_id: str, raw: bytes) -> Arrival:
        """Write the update and return what became of it; what it returns is durable.

        Args:
            bot_id: one that ``secret_of`` knew when the request came.
            raw: the request's body, unchanged and unchecked.
        """

    def trouble(self) -> str | None:
        """Return in one line why no update can be taken in now, None if all is well."""
