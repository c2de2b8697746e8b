"""The job that tells a backend how its task ended.

A queue of its own: a backend that is away holds up no task.

Runs in: master | job worker.
"""

from brama.log import get_logger
from jobs.context import JobContext
from jobs.job_type import job
from jobs.llm.payloads import CallbackPayload, TaskPayload
from jobs.llm.policy.status import Status, TaskView
from jobs.llm.workshop import workshop
from jobs.policy.backoff import exponential
from jobs.producer import Producer

log = get_logger(__name__)


@job("SEND_CALLBACK", timeout="30s", attempts=10, backoff=exponential("5s", cap="15m"))
async def send_callback(payload: CallbackPayload, context: JobContext) -> None:
    """Tell a backend how its task ended; tried for about half an hour."""
    await workshop().sender.send(payload, context.job_id)
    log.info("llm.callback_sent", task=payload.task_id, status=payload.status)


async def announce(producer: Producer, payload: TaskPayload, task: TaskView) -> None:
    """Have the backend of ``payload`` told how its task ended; told again of the same end, change nothing.

    Args:
        task: completed or failed.

    Raises:
        NotAcceptedError: neither the engine nor the outbox can store the callback.
    """
    if payload.callback_url is None:
        return
    callback = CallbackPayload(
        task_id=payload.task_id,
        callback_url=payload.callback_url,
        status="completed" if task.status is Status.COMPLETED else "failed",
        result=task.result,
        error=task.error,
    )
    await producer.enqueue(send_callback, callback, key=f"{payload.task_id}/{task.status}")
