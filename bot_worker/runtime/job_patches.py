"""Makes the result of a job an update like any other to python-telegram-bot, and knows whose job enqueues.

The library's contexts know chat and user of Updates only: without this ``context.chat_data`` would be missing
for a JobResult, and what its handler changes there would not be saved.

Runs in: zygote | worker.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from telegram.ext import Application, CallbackContext, Job

from bot_worker.runtime.job_orders import current_job_place
from bot_worker.runtime.ports import AnyApplication
from bot_worker.runtime.tracker import Place
from brama.jobs import JobResult

#: A class, the name of its method, and what makes the method to be used from the original.
Patch: TypeAlias = tuple[type, str, Callable[[Callable[..., Any]], Callable[..., Any]]]


def _from_update(original: Callable[..., Any]) -> Callable[..., Any]:
    def from_update(cls: Any, update: object, application: AnyApplication) -> Any:
        if isinstance(update, JobResult):
            return cls(application, chat_id=update.chat_id, user_id=update.user_id)
        return original(cls, update, application)

    return from_update


def _mark_for_persistence(original: Callable[..., None]) -> Callable[..., None]:
    def mark(self: AnyApplication, *, update: object = None, job: Any = None) -> None:
        if isinstance(update, JobResult):
            if update.chat_id is not None:
                self._chat_ids_to_be_updated_in_persistence.add(update.chat_id)
            if update.user_id is not None:
                self._user_ids_to_be_updated_in_persistence.add(update.user_id)
        original(self, update=update, job=job)

    return mark


def _job_run(original: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    async def run(self: Job[Any], application: AnyApplication) -> None:
        current_job_place.set(Place(self.chat_id, self.user_id))  # it runs in a task of its own
        await original(self, application)

    return run


JOB_PATCHES: tuple[Patch, ...] = (
    (Application, "_mark_for_persistence_update", _mark_for_persistence),
    (CallbackContext, "from_update", _from_update),
    (Job, "_run", _job_run),
)
