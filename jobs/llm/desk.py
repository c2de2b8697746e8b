"""Takes tasks over and says how they stand, whether the engine is there or not.

The engine decides: of two bodies under one task id, that one counts whose job it took. The ledger speaks
while the engine is away, and of tasks that ended and are no longer in there.

Runs in: master.
"""

from brama.clock import Clock
from brama.errors import StateError
from brama.log import get_logger
from jobs.engine.port import JobQueue, JobView
from jobs.errors import EngineUnavailableError
from jobs.llm.ledger import TaskLedger
from jobs.llm.payloads import TaskPayload
from jobs.llm.policy.status import Status, TaskView, error_of, status_of
from jobs.llm.policy.task_request import TaskRequest
from jobs.llm.tasks import process_task
from jobs.policy.ids import job_id_for
from jobs.producer import Producer
from jobs.storage.outbox import Outbox

log = get_logger(__name__)

_QUEUE = process_task.queue
#: For how long an engine that did not answer is not asked again, which takes seconds if it hangs.
_AWAY_BELIEVED_S = 1.0


class Desk:
    """Where tasks are handed in and asked after.

    Args:
        producer: takes them over.
        queue: the engine.
        outbox: the producer's.
        ledger: what is known of tasks here.
        clock: monotonic seconds.
    """

    def __init__(
        self, producer: Producer, queue: JobQueue, outbox: Outbox, ledger: TaskLedger, clock: Clock
    ) -> None:
        self._producer = producer
        self._queue = queue
        self._outbox = outbox
        self._ledger = ledger
        self._clock = clock
        self._believed_away_until = float("-inf")

    async def submit(self, request: TaskRequest, account: str) -> bool:
        """Take a task over, once; return False if its id stands for another one already.

        Args:
            account: what calls of the model are counted by if the request names no organisation.

        Raises:
            NotAcceptedError: neither the engine nor the outbox can store it.
        """
        job_id = _job_id(request.task_id)
        task = await self._look(job_id)
        if task is None:
            payload = TaskPayload(
                task_id=request.task_id,
                question=request.question,
                callback_url=request.callback_url,
                organisation=request.organisation or account,
                body_hash=request.body_hash,
            )
            await self._producer.enqueue(process_task, payload, key=request.task_id)
            if self._producer.degraded is None:  # the engine took it, so it is there
                self._believed_away_until = float("-inf")
            task = await self._look(job_id)
        if task is not None and task.body_hash != request.body_hash:
            return False
        try:
            await self._ledger.accept(job_id, request.body_hash)
        except StateError as error:  # it is stored where it is run from
            log.warning("llm.task_not_noted", task=request.task_id, error=str(error))
        return True

    async def find(self, task_id: str) -> TaskView | None:
        """Return how a task stands, None if there is none or it ended more than 24 h ago.

        Raises:
            EngineUnavailableError: the engine is away, and nobody else knows the task.
            StateError: what is kept here cannot be read.
        """
        return await self._find(_job_id(task_id))

    async def counts(self) -> tuple[dict[str, int], bool]:
        """Return the number of tasks by what they do, and whether the engine itself has counted.

        Raises:
            StateError: what is kept here cannot be read.
        """
        kept_here = (await self._outbox.count_by_queue()).get(_QUEUE, 0)
        try:
            found = await self._queue.counts(_QUEUE)
        except EngineUnavailableError:
            known = await self._ledger.counts()
            return {
                "waiting": known[Status.QUEUED],
                "active": known[Status.PROCESSING],
                "completed": known[Status.COMPLETED],
                "failed": known[Status.FAILED],
                "delayed": 0,
            }, False
        waiting = sum(found.get(state, 0) for state in ("waiting", "paused", "prioritized"))
        named = {state: found.get(state, 0) for state in ("active", "completed", "failed", "delayed")}
        return {"waiting": waiting + kept_here} | named, True

    async def _look(self, job_id: str) -> TaskView | None:
        """As ``find``; a task that nobody can know of now is none."""
        try:
            return await self._find(job_id)
        except (EngineUnavailableError, StateError):
            return None

    async def _find(self, job_id: str) -> TaskView | None:
        is_away: EngineUnavailableError | None = None
        try:
            if task := await self._ask_engine(job_id):
                return task
        except EngineUnavailableError as error:
            is_away = error
        if kept := await self._outbox.find(_QUEUE, job_id):
            return TaskView(Status.QUEUED, kept.data["bodyHash"])
        task = await self._ledger.find(job_id)
        if task is not None and (is_away or task.status.is_end):
            return task
        if is_away:
            raise is_away
        # It may have gone from the outbox to the engine between the two looks.
        return await self._ask_engine(job_id)

    async def _ask_engine(self, job_id: str) -> TaskView | None:
        if self._clock() < self._believed_away_until:
            raise EngineUnavailableError("the queue's server did not answer a moment ago")
        try:
            job = await self._queue.find(_QUEUE, job_id)
        except EngineUnavailableError:
            self._believed_away_until = self._clock() + _AWAY_BELIEVED_S
            raise
        return None if job is None else _view(job)


def _job_id(task_id: str) -> str:
    return job_id_for(_QUEUE, process_task.name, task_id)


def _view(job: JobView) -> TaskView:
    status = status_of(job.state)
    error = error_of(job.error) if status is Status.FAILED else None
    body_hash = job.data.get("bodyHash", "") if isinstance(job.data, dict) else ""
    return TaskView(status, body_hash, job.result, error)
