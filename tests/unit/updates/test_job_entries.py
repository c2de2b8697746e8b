"""How the end of a job lies in the inbox."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import Bot, Update

from bot_worker.runtime.decoding import decode_entry
from brama.jobs import JobResult
from brama.messages import Deliver
from supervisor.updates.policy.decoding import Malformed, decode
from supervisor.updates.policy.job_entries import MAX_ENTRY_BYTES, JobEnd, JobOrigin, entry_of

BOT = Bot("1001:" + "x" * 35)
ORIGIN = JobOrigin("shop", 1001, "https://api.telegram.org", 10, 11, 12, {"a": [1]})
DONE = JobEnd("k1", "RENDER", "slow", 2, ok=True, result={"pages": 3})
FAILED = JobEnd("k1", "RENDER", "slow", 2, ok=False, error="ValueError: no\nTraceback\n")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def as_bot_sees(origin: JobOrigin, end: JobEnd) -> JobResult:
    entry = entry_of(origin, end)
    result = decode_entry(Deliver(1, entry.update_id, entry.raw), BOT)
    assert isinstance(result, JobResult)
    return result


def test_a_bot_sees_how_it_ended_and_where_it_belongs():
    assert as_bot_sees(ORIGIN, DONE) == JobResult(
        "k1", "RENDER", "slow", True, {"pages": 3}, None, 10, 11, 12, {"a": [1]}
    )
    assert as_bot_sees(ORIGIN, FAILED) == JobResult(
        "k1", "RENDER", "slow", False, None, "ValueError: no", 10, 11, 12, {"a": [1]}
    )


@given(result=json_values, extra=json_values)
def test_whatever_json_says_comes_back(result, extra):
    end = JobEnd("k1", "RENDER", "slow", 1, ok=True, result=result)
    seen = as_bot_sees(JobOrigin("shop", 1, "http://x", extra=extra), end)
    assert (seen.result, seen.extra) == (result, extra)


def test_each_end_has_one_number_that_telegram_has_none_of():
    ends = [
        JobEnd(job_id, "RENDER", queue, attempt, ok)
        for job_id in ("k1", "k2")
        for queue in ("slow", "fast")
        for attempt in (1, 2)
        for ok in (True, False)
    ]
    numbers = [entry_of(ORIGIN, end).update_id for end in ends]
    assert numbers == [entry_of(ORIGIN, end).update_id for end in ends]
    assert len(set(numbers)) == len(ends)
    assert all(-(2**63) <= number < 0 for number in numbers)


@pytest.mark.parametrize(("chat_id", "user_id", "lane"), [(-5, 7, "c-5"), (None, 7, "u7"), (None, None, "")])
def test_it_waits_in_the_lane_of_its_chat(chat_id, user_id, lane):
    assert entry_of(JobOrigin("shop", 1, "http://x", chat_id, user_id), DONE).lane == lane


def test_what_is_too_large_for_a_bot_is_said_to_be():
    end = JobEnd("k1", "RENDER", "slow", 1, ok=True, result="x" * MAX_ENTRY_BYTES)
    seen = as_bot_sees(ORIGIN, end)
    assert not seen.ok
    assert seen.error is not None
    assert seen.error.endswith(f"bytes, and a bot is handed {MAX_ENTRY_BYTES} at most")
    assert (
        entry_of(ORIGIN, end).update_id == entry_of(ORIGIN, JobEnd("k1", "X", "slow", 1, ok=True)).update_id
    )


def test_a_version_without_jobs_takes_it_for_no_update_rather_than_for_an_empty_one():
    """It becomes a dead letter there; an Update that no handler takes would be processed, and lost."""
    raw = entry_of(ORIGIN, DONE).raw
    assert isinstance(decode(raw), Malformed)
    with pytest.raises(TypeError):
        Update.de_json(json.loads(raw), BOT)
