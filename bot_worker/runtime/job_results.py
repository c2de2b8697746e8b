"""Knows where a job's result belongs, and whether the bot has a handler for it.

Runs in: worker.
"""

from typing import Any

from telegram import Update

from bot_worker.runtime.notices import Notices
from bot_worker.runtime.ports import AnyApplication
from bot_worker.runtime.tracker import NOWHERE, Place
from brama.jobs import JobResult


def place_of(update: object) -> Place:
    """Return where an update comes from."""
    match update:
        case Update():
            chat, user = update.effective_chat, update.effective_user
            return Place(chat.id if chat else None, user.id if user else None, update.update_id)
        case JobResult():
            return Place(update.chat_id, update.user_id, update.update_id)
        case _:
            return NOWHERE


class Takers:
    """Warns of results that no handler of the bot takes.

    Args:
        notices: where the warning goes, once.
    """

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._known = False

    def look(self, application: AnyApplication | None, result: JobResult) -> None:
        """Look for a handler, unless one was found before."""
        if self._known or application is None:
            return
        handlers = [handler for group in application.handlers.values() for handler in group]
        self._known = any(_takes(handler, result) for handler in handlers)
        if not self._known:
            self._notices.say(
                "job_result",
                f"no handler takes the result of job {result.name}; "
                f"add application.add_handler(TypeHandler(brama.JobResult, callback))",
            )


def _takes(handler: Any, result: JobResult) -> bool:
    try:
        check = handler.check_update(result)
    except Exception:  # of the bot; it is raised again, and reported, when the result is processed
        return True
    return check is not None and check is not False
