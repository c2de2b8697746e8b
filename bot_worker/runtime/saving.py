"""Watches each saving of an application's state: what it covers, whether it failed, what to save again.

python-telegram-bot forgets which chats and users have changed before it knows whether saving them worked;
here they are remembered until it has.

Runs in: worker.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from telegram.ext import DictPersistence

from bot_worker.runtime.acknowledging import Acknowledger
from bot_worker.runtime.pickle_files import PickleFiles
from bot_worker.runtime.ports import AnyApplication

#: Errors of the saving that runs in this context.
saving_errors: ContextVar[list[BaseException] | None] = ContextVar("brama_saving_errors", default=None)


def is_persistent(application: AnyApplication) -> bool:
    """Return whether state of ``application`` outlives its process; DictPersistence keeps it in memory."""
    return application.persistence is not None and type(application.persistence) is not DictPersistence


class Marks(NamedTuple):
    """What an application will save next time."""

    chats: frozenset[int]
    users: frozenset[int]
    dropped_chats: frozenset[int]
    dropped_users: frozenset[int]
    conversations: dict[str, frozenset[Any]]

    @classmethod
    def of(cls, application: AnyApplication) -> "Marks":
        """Return what is marked now."""
        return cls(
            frozenset(application._chat_ids_to_be_updated_in_persistence),
            frozenset(application._user_ids_to_be_updated_in_persistence),
            frozenset(application._chat_ids_to_be_deleted_in_persistence),
            frozenset(application._user_ids_to_be_deleted_in_persistence),
            {
                name: frozenset(states._write_access_keys)
                for name, states in application._conversation_handler_conversations.items()
            },
        )

    def restore(self, application: AnyApplication) -> None:
        """Mark all of it again, beside what was marked since."""
        application._chat_ids_to_be_updated_in_persistence |= self.chats
        application._user_ids_to_be_updated_in_persistence |= self.users
        application._chat_ids_to_be_deleted_in_persistence |= self.dropped_chats
        application._user_ids_to_be_deleted_in_persistence |= self.dropped_users
        for name, keys in self.conversations.items():
            for key in keys:
                application._conversation_handler_conversations[name].mark_as_accessed(key)


class Saving:
    """Runs the body of ``Application.update_persistence``, under its lock, for one worker."""

    def __init__(self, acknowledger: Acknowledger, files: PickleFiles) -> None:
        self._acknowledger = acknowledger
        self._files = files

    async def run(
        self, original: Callable[[AnyApplication], Awaitable[None]], application: AnyApplication
    ) -> None:
        """Save as ``original`` does, report what that covered."""
        group = self._acknowledger.take_group()
        marks = Marks.of(application)
        errors: list[BaseException] = []
        token = saving_errors.set(errors)
        complete = False
        try:
            await self._save(original, application, errors)
            complete = True
        except Exception as error:
            errors.append(error)
            complete = True
            raise
        finally:
            saving_errors.reset(token)
            if errors or not complete:
                marks.restore(application)
            if complete:
                self._acknowledger.saved(group, errors)
            else:
                self._acknowledger.put_back(group)

    async def _save(
        self,
        original: Callable[[AnyApplication], Awaitable[None]],
        application: AnyApplication,
        errors: list[BaseException],
    ) -> None:
        with self._files.collected():
            await original(application)
        if application.persistence is None:
            return
        try:
            await self._files.write(application.persistence)
        except Exception as error:
            errors.append(error)
            await application.process_error(update=None, error=error)
