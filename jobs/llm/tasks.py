"""The jobs of the LLM backend: answer a question, and tell the backend that asked.

A worker that runs them calls ``jobs.llm.workshop.install`` first.

Runs in: master | job worker.
"""

import asyncio
import traceback
from typing import Any

from pydantic import ValidationError

from brama.errors import StateError
from brama.log import get_logger
from jobs.context import JobContext
from jobs.errors import PermanentError, RetryableError
from jobs.job_type import job
from jobs.llm.callbacks import announce
from jobs.llm.callbacks import send_callback as send_callback
from jobs.llm.dashboard import Answer
from jobs.llm.payloads import TaskPayload
from jobs.llm.policy.status import Status, TaskView, error_of
from jobs.llm.workshop import Workshop, workshop
from jobs.policy.backoff import exponential
from jobs.policy.ids import job_id_for

log = get_logger(__name__)

#: Of one attempt, its waits for the rate limit included. The job's own timeout comes later, so that the
#: handler says what took too long.
ANSWER_S = 300.0


async def _tell_of_death(data: Any, error: str) -> None:
    """Have the backend told of a task that failed for good, however it did."""
    try:
        payload = TaskPayload.model_validate(data)
    except ValidationError:  # nobody knows whom to tell
        return
    tools = workshop()
    failed = TaskView(Status.FAILED, payload.body_hash, error=error_of(error))
    await announce(tools.producer, payload, failed)
    await tools.ledger.note(job_id_for(process_task.queue, process_task.name, payload.task_id), failed)


# The start of an attempt is the call of its first request: a task whose organisation has none left keeps no
# slot from others.
@job(
    "PROCESS_TASK",
    timeout="320s",
    attempts=5,
    backoff=exponential("2s", cap="2m"),
    keep="24h",
    when_dead=_tell_of_death,
    limited_by=lambda payload: payload.organisation,
)
async def process_task(payload: TaskPayload, context: JobContext) -> Answer:
    """Answer a question and have the backend told how it ended."""
    tools = workshop()
    answer = await _known_answer(tools, payload, context)
    if answer is None:
        await _note(tools, payload, context, TaskView(Status.PROCESSING, payload.body_hash))
        answer = await _ask(tools, payload)
    completed = TaskView(Status.COMPLETED, payload.body_hash, answer.model_dump(mode="json"))
    await _note(tools, payload, context, completed)
    await announce(tools.producer, payload, completed)
    log.info("llm.task_completed", task=payload.task_id, mock=answer.mock)
    return answer


async def _ask(tools: Workshop, payload: TaskPayload) -> Answer:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await tools.provider.answer(payload.question, payload.organisation)
    except TimeoutError:
        raise RetryableError(f"no answer within {ANSWER_S:g} s") from None
    except (PermanentError, RetryableError):
        raise
    except Exception as error:  # whose text may hold the question
        place = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__} in {place.name}, line {place.lineno}"
        raise RetryableError(f"the provider is at fault: {fault}") from None


async def _known_answer(tools: Workshop, payload: TaskPayload, context: JobContext) -> Answer | None:
    """Return the answer that was noted before the last worker died: the model is not asked twice."""
    try:
        task = await tools.ledger.find(context.job_id)
    except StateError as error:
        log.warning("llm.task_not_read", task=payload.task_id, error=str(error))
        return None
    if task is None or task.status is not Status.COMPLETED or task.body_hash != payload.body_hash:
        return None
    return Answer.model_validate(task.result)


async def _note(tools: Workshop, payload: TaskPayload, context: JobContext, task: TaskView) -> None:
    """Note how the task stands; the engine holds it as well, so a disk that is full stops no task."""
    try:
        await tools.ledger.note(context.job_id, task)
    except StateError as error:
        log.warning("llm.task_not_noted", task=payload.task_id, error=str(error))
