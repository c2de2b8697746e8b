"""Keys, paces, signatures, what answers mean, and what a caller wants."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.llm.payloads import CallbackPayload, TaskPayload
from jobs.llm.policy.api_keys import ApiKeys, fingerprint
from jobs.llm.policy.callback_url import parse_hosts
from jobs.llm.policy.callback_verdict import Delivered, Never, NotNow, judge_answer, read_retry_after
from jobs.llm.policy.pace import Pace
from jobs.llm.policy.signature import sign
from jobs.llm.policy.status import Status, error_of, status_of
from jobs.llm.policy.task_request import BadRequest, TaskRequest, read_request
from jobs.llm.terms import BackendTerms

HOSTS = parse_hosts(["backend:5000"])
URL = "http://backend:5000/x"
SECRET_WORDS = "what did the purple zebra earn"


def test_each_of_several_keys_opens_and_is_told_apart():
    keys = ApiKeys(["first-key", "second-key"])
    assert keys.identify("first-key") == fingerprint("first-key")
    assert keys.identify("second-key") == fingerprint("second-key")
    assert fingerprint("first-key") != fingerprint("second-key")
    assert "first-key" not in fingerprint("first-key")
    for wrong in (None, "", "first-ke", "first-key ", "third", "fïrst", "\udcff"):
        assert keys.identify(wrong) is None
    assert ApiKeys([]).identify("") is None


@pytest.mark.parametrize(
    ("gaps_s", "waits"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 20]),
        ([0, 0, 0, 19, 1, 0], [0, 0, 0, 1, 0, 20]),
        ([0, 0, 0, 600, 0, 0, 0], [0, 0, 0, 0, 0, 0, 20]),
        ([0, 20, 20, 20, 20], [0, 0, 0, 0, 0]),
    ],
)
def test_a_caller_makes_so_many_requests_in_a_minute(gaps_s: list[float], waits: list[float]):
    pace, now = Pace(3), 1000.0
    found = []
    for gap in gaps_s:
        now += gap
        found.append(round(pace.take("a", now), 6))
    assert found == waits
    assert pace.take("b", now) == 0.0


@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=200))
def test_no_minute_sees_more_than_twice_the_limit(limit: int, gaps: list[float]):
    pace, now, taken = Pace(limit), 0.0, []
    for gap in gaps:
        now += gap
        if not pace.take("a", now):
            taken.append(now)
    assert all(sum(start <= each < start + 60 for each in taken) <= 2 * limit for start in taken)


def test_a_signature_is_what_the_documentation_says():
    # printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
    expected = "a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
    assert sign("key", "1700000000", b'{"a":1}') == f"v1={expected}"
    assert sign("key", "1700000000", b"x") != sign("key", "1700000001", b"x")
    assert sign("key", "17", b"1.x") != sign("key", "171", b".x")


@pytest.mark.parametrize(
    ("status", "retry_after", "verdict"),
    [
        (200, None, Delivered()),
        (204, "5", Delivered()),
        (299, None, Delivered()),
        (301, "5", NotNow("the backend answered 301; redirects are not followed", 0.0)),
        (307, None, NotNow("the backend answered 307; redirects are not followed", 0.0)),
        (400, None, Never("the backend answered 400")),
        (401, "5", Never("the backend answered 401")),
        (404, None, Never("the backend answered 404")),
        (408, None, NotNow("the backend answered 408", 0.0)),
        (410, None, Never("the backend answered 410")),
        (425, None, NotNow("the backend answered 425", 0.0)),
        (429, "7", NotNow("the backend answered 429", 7.0)),
        (500, None, NotNow("the backend answered 500", 0.0)),
        (503, "Thu, 01 Jan 1970 00:01:50 GMT", NotNow("the backend answered 503", 10.0)),
        (100, None, NotNow("the backend answered 100", 0.0)),
        (999, None, NotNow("the backend answered 999", 0.0)),
    ],
)
def test_what_an_answer_to_a_callback_means(status: int, retry_after: str | None, verdict: object):
    assert judge_answer(status, retry_after, 100.0) == verdict


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        (None, 0), ("0", 0), (" 12 ", 12), ("1.5", 0), ("-3", 0), ("soon", 0), ("", 0), ("\u0663", 0),
        ("9" * 400, 3600), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Thu, 01 Jan 2099 00:00:00 GMT", 3600),
        ("Thu, 01 Jan 1970 00:02:00", 20), ("Thu, 99 Jan 1970 00:02:00 GMT", 0),
    ],
)  # fmt: skip
def test_which_wait_is_asked_for(text: str | None, wait_s: float):
    assert read_retry_after(text, 100.0) == wait_s


def body(**more: object) -> bytes:
    return json.dumps({"taskId": "t", "question": SECRET_WORDS, "callbackUrl": URL} | more).encode()


def test_a_request_is_read():
    found = read_request(body(extra=1), HOSTS)
    assert found == TaskRequest("t", SECRET_WORDS, URL, None)
    assert read_request(body(callbackUrl=None), HOSTS) == TaskRequest("t", SECRET_WORDS, None, None)
    assert read_request(body(organisation="acme"), HOSTS) == TaskRequest("t", SECRET_WORDS, URL, "acme")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "the body is no JSON object"),
        (b"[]", "the body is no JSON object"),
        (b"{", "the body is no JSON object"),
        (b'{"taskId": "\xff"}', "the body is no JSON object"),
        (b'{"taskId": "t", "question": "\\ud800"}', "the body is no JSON object"),
        (body(taskId=None), "taskId: is not 1 to 200 of"),
        (body(taskId=7), "taskId: is not 1 to 200 of"),
        (body(taskId=""), "taskId: is not 1 to 200 of"),
        (body(taskId="../x"), "taskId: is not 1 to 200 of"),
        (body(taskId="a/b"), "taskId: is not 1 to 200 of"),
        (body(taskId="a\n"), "taskId: is not 1 to 200 of"),
        (body(taskId="a" * 201), "taskId: is not 1 to 200 of"),
        (body(question=None), "question: is not a text"),
        (body(question="  \n"), "question: is not a text"),
        (body(question=["x"]), "question: is not a text"),
        (body(organisation=""), "organisation: is not 1 to 64"),
        (body(organisation=5), "organisation: is not 1 to 64"),
        (body(callbackUrl=5), "callbackUrl: is not a text"),
        (body(callbackUrl="http://evil.example/"), "callbackUrl: leads to evil.example:80"),
    ],
)
def test_a_request_that_is_none_is_told_what_is_allowed(raw: bytes, reason: str):
    found = read_request(raw, HOSTS)
    assert isinstance(found, BadRequest)
    assert found.reason.startswith(reason)
    assert "\n" not in found.reason
    assert "zebra" not in found.reason


def test_the_same_body_has_the_same_hash_and_any_other_does_not():
    first = read_request(body(), HOSTS)
    assert isinstance(first, TaskRequest)
    same = read_request(json.dumps(json.loads(body()), indent=3).encode(), HOSTS)
    respelled = read_request(body(callbackUrl="HTTP://BACKEND:5000/x"), HOSTS)
    others = [
        read_request(body(question="b"), HOSTS),
        read_request(body(callbackUrl=URL + "y"), HOSTS),
        read_request(body(callbackUrl=None), HOSTS),
        read_request(body(organisation="a"), HOSTS),
        read_request(body(taskId="u"), HOSTS),
    ]
    assert isinstance(same, TaskRequest)
    assert isinstance(respelled, TaskRequest)
    assert {same.body_hash, respelled.body_hash} == {first.body_hash}
    hashes = {each.body_hash for each in others if isinstance(each, TaskRequest)}
    assert len(hashes) == 5
    assert first.body_hash not in hashes


def test_nothing_that_holds_a_question_or_a_secret_shows_it():
    request = read_request(body(), HOSTS)
    task = TaskPayload(task_id="t", question=SECRET_WORDS, callback_url=URL)
    callback = CallbackPayload(task_id="t", callback_url=URL, status="completed", result=SECRET_WORDS)
    terms = BackendTerms(
        api_keys=("hidden-1",), callback_key="hidden-2", callback_secret="hidden-3", openai_api_key="hidden-4"
    )
    shown = f"{request!r} {request} {task!r} {task} {callback!r} {callback} {terms!r} {terms}"
    assert "zebra" not in shown
    assert "hidden" not in shown
    assert set(terms.secrets) == {"hidden-1", "hidden-2", "hidden-3", "hidden-4"}


def test_a_payload_has_the_names_of_the_wire_both_ways():
    task = TaskPayload(task_id="t", question="q", callback_url=URL, organisation="o", body_hash="h")
    data = task.model_dump(mode="json")
    assert data == {
        "taskId": "t", "question": "q", "callbackUrl": URL, "organisation": "o", "bodyHash": "h"
    }  # fmt: skip
    assert TaskPayload.model_validate(data) == task
    theirs = TaskPayload.model_validate({"taskId": "t", "question": "q", "callbackUrl": URL, "x": 1})
    assert (theirs.body_hash, theirs.organisation) == ("", fingerprint(""))


def test_a_callback_says_either_the_result_or_the_error():
    done = CallbackPayload(task_id="t", callback_url=URL, status="completed", result={"a": 1})
    assert done.document() == {"taskId": "t", "status": "completed", "result": {"a": 1}}
    failed = CallbackPayload(task_id="t", callback_url=URL, status="failed", error="no")
    assert failed.document() == {"taskId": "t", "status": "failed", "error": "no"}


def test_states_and_errors_in_the_words_of_callers():
    states = ["waiting", "prioritized", "delayed", "paused", "unknown", "active", "completed", "failed"]
    assert [status_of(state) for state in states] == ["queued"] * 5 + ["processing", "completed", "failed"]
    assert [status.is_end for status in Status] == [False, False, True, True]
    assert error_of("PermanentError: no: never") == "no: never"
    assert error_of("no answer: x") == "no answer: x"
    assert error_of("plain") == "plain"


@pytest.mark.parametrize(
    ("more", "is_mock"),
    [
        ({}, True),
        ({"openai_api_key": "k"}, False),
        ({"openai_api_key": "k", "provider": "mock"}, True),
        ({"provider": "openai"}, False),
    ],
)
def test_without_a_key_there_is_a_mock(more: dict, is_mock: bool):
    assert BackendTerms(**more).is_mock is is_mock


def test_what_signs_and_what_is_sent():
    assert BackendTerms().sent_key == ""
    only_keys = BackendTerms(api_keys=("a", "b"))
    assert (only_keys.sent_key, only_keys.signing_secret) == ("a", "a")
    other = BackendTerms(api_keys=("a",), callback_key="c")
    assert (other.sent_key, other.signing_secret) == ("c", "c")
    both = BackendTerms(api_keys=("a",), callback_key="c", callback_secret="s")
    assert (both.sent_key, both.signing_secret) == ("c", "s")
    assert BackendTerms.model_validate_json(both.model_dump_json()) == both
    with pytest.raises(ValueError, match="no host with a port"):
        BackendTerms(callback_hosts=("backend",))


def test_a_body_that_is_nested_too_deep_is_a_bad_request():
    assert isinstance(read_request(b"[" * 200_000, frozenset()), BadRequest)
