"""What a handler's exception, payload and result mean."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from jobs.author import JobContext, PermanentError, RetryableError, job
from jobs.context import LogLine, Progress, Report
from jobs.execution.attempt import Returned, check_result, failure_of, read_payload
from jobs.policy.verdict import Cause, Failure


class Page(BaseModel):
    number: int
    title: str = ""


@job("RENDER")
def render(payload: Page, context: JobContext) -> Page:
    return payload


@job("ANYTHING")
def anything(payload: Page, context: JobContext):
    return None


@pytest.mark.parametrize(
    ("error", "cause", "text", "retry_after_s"),
    [
        (ValueError("no"), Cause.ERROR, "ValueError: no", 0.0),
        (RetryableError("busy", retry_after_s=7), Cause.ERROR, "RetryableError: busy", 7.0),
        (RetryableError(retry_after_s=-1), Cause.ERROR, "RetryableError: ", 0.0),
        (PermanentError("never"), Cause.PERMANENT, "PermanentError: never", 0.0),
        (SystemExit(3), Cause.ERROR, "SystemExit: 3", 0.0),
    ],
)
def test_an_exception_is_a_failure(error: BaseException, cause: Cause, text: str, retry_after_s: float):
    failure = failure_of(error)
    assert (failure.cause, failure.error, failure.retry_after_s) == (cause, text, retry_after_s)
    assert type(error).__name__ in failure.stack


def test_what_is_kept_of_an_error_is_bounded_and_keeps_its_end():
    failure = failure_of(ValueError("x" * 100_000 + "the end"))
    assert len(failure.error) == 1000
    assert len(failure.stack) == 20_000
    assert "the end" in failure.stack


def test_a_cancellation_is_told_in_words():
    assert "something in the handler cancelled it" in failure_of(asyncio.CancelledError()).error


def test_a_payload_is_read_or_what_is_wrong_is_said_without_its_values():
    assert read_payload(render, {"number": 3}) == Page(number=3)
    failure = read_payload(render, {"number": "private", "title": 4})
    assert isinstance(failure, Failure)
    assert failure.cause is Cause.BAD_PAYLOAD
    assert failure.error.startswith("number: Input should be a valid integer")
    assert "title: " in failure.error
    assert "private" not in failure.error


@pytest.mark.parametrize("result", [{"number": 1}, Page(number=1, title="")])
def test_a_result_is_what_its_annotation_makes_of_it(result: object):
    assert check_result(render, result) == Returned({"number": 1, "title": ""})


@pytest.mark.parametrize("result", [{"number": "x"}, None])
def test_a_result_that_is_not_what_was_annotated_is_a_failure(result: object):
    failure = check_result(render, result)
    assert isinstance(failure, Failure)
    assert failure.cause is Cause.BAD_RESULT


@pytest.mark.parametrize("result", [object(), {1: {2: object()}}])
def test_a_result_that_json_cannot_say_is_a_failure(result: object):
    failure = check_result(anything, result)
    assert isinstance(failure, Failure)
    assert "cannot be written as JSON" in failure.error


def test_numbers_that_json_lacks_are_null_as_in_node():
    assert check_result(anything, [float("nan"), float("inf")]) == Returned([None, None])


def test_reports_are_what_json_can_say():
    reports: list[Report] = []
    context = JobContext("a", "Q", "T", 1, 3, reports.append)
    context.progress({"page": 1})
    context.log("line")
    assert reports == [Progress({"page": 1}), LogLine("line")]
    wrong: list[Any] = [object(), float("nan")]
    for value in wrong:
        with pytest.raises((TypeError, ValueError)):
            context.progress(value)
