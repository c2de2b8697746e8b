"""What the jobs of the LLM backend are handed, and what a backend is sent.

The names on the wire are those of the Node service, so that producers written for it can enqueue too.

Runs in: master | job worker.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from jobs.llm.policy.api_keys import fingerprint


class _Payload(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        serialize_by_alias=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class TaskPayload(_Payload):
    """A question for the model.

    Args:
        task_id: the caller's name for it.
        question: never shown or logged.
        callback_url: where the answer goes; None: nowhere.
        organisation: on whose account calls of the model count.
        body_hash: of the request; empty if a producer of another kind made the job.
    """

    task_id: str
    question: str = Field(repr=False)
    callback_url: str | None = None
    organisation: str = fingerprint("")
    body_hash: str = ""


class CallbackPayload(_Payload):
    """How a task ended, for the backend that asked.

    Args:
        callback_url: where this goes.
        result: of a completed task.
        error: of a failed one; one line.
    """

    task_id: str
    callback_url: str
    status: Literal["completed", "failed"]
    result: Any = Field(default=None, repr=False)
    error: str | None = None

    def document(self) -> dict[str, Any]:
        """Return what is posted."""
        told = {"taskId": self.task_id, "status": self.status}
        return told | ({"result": self.result} if self.status == "completed" else {"error": self.error})
