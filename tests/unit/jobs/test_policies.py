"""The pure decisions of the job queue."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brama.config.redis_address import server_url, without_login
from jobs.policy.backoff import Backoff, exponential
from jobs.policy.ids import check_name, job_id_for, job_id_from
from jobs.policy.verdict import Cause, Failure, GiveUp, TryAgain, decide

BACKOFF = Backoff(first_s=1.0, cap_s=60.0)
jitters = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"REDIS_URL": " "}, None),
        (
            {"REDIS_URL": "rediss://:secret@queue.example.com:6380/1"},
            "rediss://:secret@queue.example.com:6380/1",
        ),
        ({"REDIS_URL": "unix:///run/redis.sock", "REDIS_HOST": "other"}, "unix:///run/redis.sock"),
        ({"REDIS_HOST": "redis"}, "redis://redis:6379"),
        ({"REDIS_HOST": "::1", "REDIS_PORT": "7000"}, "redis://[::1]:7000"),
        ({"REDIS_HOST": "redis", "REDIS_PASSWORD": "a/b@c"}, "redis://:a%2Fb%40c@redis:6379"),
        ({"REDIS_PORT": "7000"}, None),
    ],
)
def test_the_environment_names_a_server(environment: dict[str, str], url: str | None):
    assert server_url(environment) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://queue:6379", "redis://queue:6379"),
        (
            "rediss://me:p%40ss@queue.example.com:6380/1?ssl_cert_reqs=none",
            "rediss://queue.example.com:6380/1",
        ),
        ("redis://:p@ss@[::1]:7000", "redis://[::1]:7000"),
        ("unix://:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str):
    assert without_login(url) == shown


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"REDIS_URL": "http://redis:6379"}, "REDIS_URL is no address"),
        ({"REDIS_HOST": "redis", "REDIS_PORT": "6379x"}, 'REDIS_PORT: "6379x" is not a port'),
        ({"REDIS_HOST": "redis", "REDIS_PORT": "65536"}, "write 1 to 65535"),
    ],
)
def test_a_wrong_address_is_refused(environment: dict[str, str], said: str):
    with pytest.raises(ValueError, match=re.escape(said)):
        server_url(environment)


def test_an_url_that_is_refused_is_not_repeated():
    with pytest.raises(ValueError) as refused:
        server_url({"REDIS_URL": "http://:secret@redis"})
    assert "secret" not in str(refused.value)


@given(st.text(), st.text(), st.text())
def test_a_job_id_is_one_that_node_takes(queue: str, name: str, key: str):
    job_id = job_id_for(queue, name, key)
    assert re.fullmatch(r"k[0-9a-f]{40}", job_id)
    assert job_id == job_id_for(queue, name, key)


def test_a_job_id_depends_on_queue_type_and_key():
    ids = {job_id_for(*each) for each in (("q", "t", "k"), ("q", "t", "l"), ("q", "u", "k"), ("r", "t", "k"))}
    assert len(ids) == 4
    assert re.fullmatch(r"j[0-9a-f]{32}", job_id_from(0))


@pytest.mark.parametrize("name", ["", "a:b", "a b", "x" * 101, "ü"])
def test_a_name_that_is_no_redis_key_is_refused(name: str):
    with pytest.raises(ValueError, match="is not 1 to 100 of"):
        check_name(name, "queue")


@given(st.integers(1, 10_000), jitters)
def test_a_wait_is_between_half_and_all_of_a_doubling_capped_one(attempt: int, jitter: float):
    whole_s = min(60.0, 2.0 ** (min(attempt, 30) - 1))
    assert whole_s / 2 <= BACKOFF.wait_s(attempt, jitter) <= whole_s


def test_a_backoff_is_written_in_durations():
    assert exponential("1s", cap="5m") == Backoff(1.0, 300.0)
    with pytest.raises(ValueError, match="is not a duration"):
        exponential("1 sec")
    with pytest.raises(ValueError, match="below the first wait"):
        exponential("10s", cap="1s")


@given(st.sampled_from(Cause), st.integers(1, 10), st.integers(1, 10), st.floats(0, 3600), jitters)
def test_a_failure_is_tried_again_or_given_up(
    cause: Cause, attempt: int, attempts: int, asked_s: float, jitter: float
):
    verdict = decide(Failure(cause, "no", retry_after_s=asked_s), attempt, attempts, BACKOFF, jitter)
    if cause in (Cause.ERROR, Cause.TIMEOUT) and attempt < attempts:
        assert isinstance(verdict, TryAgain)
        assert verdict.wait_s == max(asked_s, BACKOFF.wait_s(attempt, jitter))
    else:
        assert verdict == GiveUp()
