"""Makes the calls that change how Telegram hands a bot's updates over, one after the other.

Runs in: master.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from brama.ids import TelegramId

_T = TypeVar("_T")


class Changes:
    """setWebhook and deleteWebhook, of all bots.

    What was sent cannot be taken back: Telegram may carry out a call that nobody waits for any more after the
    next one, and so undo that. So each is made to its end, and the next one of the same bot waits for it.
    """

    def __init__(self) -> None:
        self._under_way: dict[TelegramId, asyncio.Task[Any]] = {}

    async def make(self, telegram_id: TelegramId, call: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Return what ``call`` returns, made when those before it are over.

        A caller that is cancelled leaves it running.
        """
        await self.wait_over(telegram_id)
        task = self._under_way[telegram_id] = asyncio.get_running_loop().create_task(call())
        task.add_done_callback(partial(self._over, telegram_id))
        return await asyncio.shield(task)

    async def wait_over(self, telegram_id: TelegramId) -> None:
        """Wait until no change of a bot is under way: what Telegram says of it then is no passing state."""
        while (task := self._under_way.get(telegram_id)) is not None:
            await asyncio.wait([task])

    async def aclose(self) -> None:
        """Wait for no answer any more; what is under way may be carried out or not."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _over(self, telegram_id: TelegramId, _: "asyncio.Task[Any]") -> None:
        del self._under_way[telegram_id]
