"""What is run, and how it ended: the terms between the runner and the two ways to run a handler.

Runs in: job worker | job child.
"""

import asyncio
import json
import traceback
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from jobs.errors import PermanentError, RetryableError
from jobs.job_type import AnyJobType
from jobs.policy.texts import storable
from jobs.policy.verdict import Cause, Failure

#: Characters kept of an error's text, and of a traceback from its end, which says what happened.
_ERROR_CHARACTERS = 1000
_STACK_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Returned:
    """The handler's result, as JSON can say it."""

    result: Any


Ending = Returned | Failure


def failure_of(error: BaseException) -> Failure:
    """Return what a handler's exception means."""
    text = storable(f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS])
    stack = storable("".join(traceback.format_exception(error))[-_STACK_CHARACTERS:])
    match error:
        case PermanentError():
            return Failure(Cause.PERMANENT, text, stack)
        case RetryableError(retry_after_s=retry_after_s):
            return Failure(Cause.ERROR, text, stack, max(0.0, retry_after_s))
        case asyncio.CancelledError():
            return Failure(Cause.ERROR, "CancelledError: something in the handler cancelled it", stack)
        case _:
            return Failure(Cause.ERROR, text, stack)


def read_payload(job_type: AnyJobType, data: Any) -> BaseModel | Failure:
    """Return the payload in ``data``, or what is wrong with it; its values are not repeated."""
    try:
        payload: BaseModel = job_type.payload.model_validate(data)
    except ValidationError as error:
        return Failure(Cause.BAD_PAYLOAD, describe(error))
    return payload


def check_result(job_type: AnyJobType, result: Any) -> Ending:
    """Return what the handler returned, checked against its annotation and in JSON's terms."""
    try:
        checked = job_type.result.validate_python(result)
        plain = job_type.result.dump_python(checked, mode="json")
        json.dumps(plain, allow_nan=False)
    except ValidationError as error:
        return Failure(Cause.BAD_RESULT, describe(error))
    except Exception as error:  # of pydantic, of json, or of a model's own serializer
        return Failure(Cause.BAD_RESULT, f"the result cannot be written as JSON: {error}"[:_ERROR_CHARACTERS])
    return Returned(plain)


def describe(error: ValidationError) -> str:
    """Return one line that says where and what, without the values: they may be private."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'payload'}: {fault['msg']}" for fault in faults
    )[:_ERROR_CHARACTERS]  # fmt: skip
