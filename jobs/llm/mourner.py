"""Tells backends of tasks that no worker of ours saw die: refused by the engine, or failed by somebody else.

Runs in: master.
"""

import asyncio

from pydantic import ValidationError

from brama.errors import BramaError
from brama.log import get_logger
from jobs.llm.callbacks import announce
from jobs.llm.ledger import BuriedTask, TaskLedger
from jobs.llm.payloads import TaskPayload
from jobs.llm.policy.status import Status, TaskView, error_of
from jobs.llm.tasks import process_task
from jobs.producer import Producer

log = get_logger(__name__)

#: Between two looks at the dead letters.
LOOK_S = 5.0


class Mourner:
    """Looks through the dead letters for tasks whose backend has not been told.

    Args:
        producer: takes callbacks over.
        ledger: which tasks have ended.
    """

    def __init__(self, producer: Producer, ledger: TaskLedger) -> None:
        self._producer = producer
        self._ledger = ledger

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except BramaError as error:
                log.warning("llm.letters_not_read", error=str(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> int:
        """Have backends told, and return of how many tasks.

        Raises:
            BramaError: the database or the queue cannot be used; the rest is told at the next look.
        """
        found = await self._ledger.buried(process_task.queue)
        for task in found:
            await self._tell(task)
        return len(found)

    async def _tell(self, task: BuriedTask) -> None:
        try:
            payload = TaskPayload.model_validate(task.data)
        except ValidationError:
            body_hash = ""
        else:
            body_hash = payload.body_hash
            failed = TaskView(Status.FAILED, body_hash, error=error_of(task.error))
            await announce(self._producer, payload, failed)
        await self._ledger.note(task.job_id, TaskView(Status.FAILED, body_hash, error=error_of(task.error)))
        log.warning("llm.task_died", job=task.job_id)
