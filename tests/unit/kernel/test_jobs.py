"""What an author may ask for, and what is said where nobody takes it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import brama
from brama import jobs
from brama.job_terms import MAX_EXTRA_BYTES, MAX_PAYLOAD_BYTES
from brama.jobs import JobRequest


class Question(BaseModel):
    text: str


class Noting:
    """Takes what is asked for down."""

    def __init__(self) -> None:
        self.asked: list[JobRequest] = []

    async def enqueue(self, request: JobRequest) -> str:
        self.asked.append(request)
        return "k1"


@pytest.fixture
def noting(monkeypatch):
    transport = Noting()
    monkeypatch.setattr(jobs, "_transport", transport)
    return transport


async def test_a_model_and_all_options_are_checked_and_carried(noting):
    assert await brama.enqueue("ASK", Question(text="wärum"), queue="slow", delay="1m30s", extra=[1]) == "k1"
    payload = '{"text":"wärum"}'.encode()
    assert noting.asked == [JobRequest("ASK", "slow", None, payload, 0, 90_000, b"[1]")]


async def test_by_default_it_waits_in_the_queue_of_its_name_and_at_once(noting):
    await brama.enqueue("ASK")
    assert noting.asked == [JobRequest("ASK", "ASK", None, b"null", 0, 0, b"null")]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "A B"}, ValueError, 'job "A B" is not 1 to 100 of'),
        ({"queue": ""}, ValueError, 'queue "" is not 1 to 100 of'),
        ({"key": ""}, ValueError, "a key of 0 characters"),
        ({"key": "x" * 501}, ValueError, "a key of 501 characters"),
        ({"priority": 2_097_153}, ValueError, "priority 2097153 is not 0 to"),
        ({"delay": "later"}, ValueError, '"later" is not a duration'),
        ({"payload": {1, 2}}, TypeError, "its payload is nothing that JSON can say"),
        ({"payload": float("nan")}, TypeError, "its payload is nothing that JSON can say"),
        ({"extra": object()}, TypeError, "its extra is nothing that JSON can say"),
        ({"payload": "x" * MAX_PAYLOAD_BYTES}, ValueError, f"and may have {MAX_PAYLOAD_BYTES}"),
        ({"extra": "x" * MAX_EXTRA_BYTES}, ValueError, f"and may have {MAX_EXTRA_BYTES}"),
    ],
)
async def test_what_cannot_be_carried_is_refused_in_one_line(noting, arguments, error, words):
    with pytest.raises(error) as caught:
        await brama.enqueue(**{"name": "A"} | arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert noting.asked == []


@given(text=st.text(alphabet=st.characters(exclude_categories=[])))
def test_any_text_travels_half_a_surrogate_pair_too(text):
    assert json.loads(jobs._encode("A", "payload", {"text": text}, MAX_PAYLOAD_BYTES)) == {"text": text}


async def test_without_a_supervisor_the_setting_is_named():
    with pytest.raises(RuntimeError, match=r"run the bot under brama-supervisor with jobs\.enabled: true"):
        await brama.enqueue("A")
