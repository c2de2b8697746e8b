"""What becomes of failed and of old updates."""

import pytest

from brama.ids import Seq, UpdateId
from brama.messages import Failed
from supervisor.updates.model import Reason, Row
from supervisor.updates.policy.expiry import is_expired
from supervisor.updates.policy.retry import MAX_DELAY_S, Bury, Retry, RetryPolicy, decide_retry

CAREFUL = RetryPolicy(attempts=3, retry_handlers=False)
EAGER = RetryPolicy(attempts=3, retry_handlers=True)


def failure(*, retry_after_s: float | None = None, before_send: bool = False, wrote: bool = False) -> Failed:
    return Failed(1, "ValueError", "", "", retry_after_s, before_send, wrote)


@pytest.mark.parametrize(
    ("failed", "attempts", "policy", "expected"),
    [
        (failure(), 0, CAREFUL, Bury(Reason.HANDLER_ERROR)),
        (failure(retry_after_s=7), 0, CAREFUL, Retry(7, 0)),
        (failure(retry_after_s=7), 99, CAREFUL, Retry(7, 99)),
        (failure(retry_after_s=7, wrote=True), 0, CAREFUL, Bury(Reason.HANDLER_ERROR)),
        (failure(before_send=True), 0, CAREFUL, Retry(1, 1)),
        (failure(before_send=True), 1, CAREFUL, Retry(2, 2)),
        (failure(before_send=True), 2, CAREFUL, Bury(Reason.ATTEMPTS_SPENT)),
        (failure(before_send=True, wrote=True), 0, CAREFUL, Bury(Reason.HANDLER_ERROR)),
        (failure(wrote=True), 0, EAGER, Retry(1, 1)),
        (failure(), 2, EAGER, Bury(Reason.ATTEMPTS_SPENT)),
        (failure(retry_after_s=7, wrote=True), 0, EAGER, Retry(7, 0)),
    ],
)
def test_decision(failed: Failed, attempts: int, policy: RetryPolicy, expected: Retry | Bury) -> None:
    assert decide_retry(failed, attempts, policy, jitter=0.0) == expected


def test_the_wait_is_capped_and_jittered() -> None:
    patient = RetryPolicy(attempts=100, retry_handlers=False)
    decision = decide_retry(failure(before_send=True), 50, patient, jitter=0.999)
    assert isinstance(decision, Retry)
    assert MAX_DELAY_S < decision.delay_s < MAX_DELAY_S * 1.25


def test_only_kinds_with_a_limit_expire_and_a_clock_set_back_expires_nothing() -> None:
    limits = {"callback_query": 150.0, "message": None}

    def update(kind: str) -> Row:
        return Row(Seq(1), UpdateId(1), kind, "", b"", 0, 0, received_utc=1000.0)

    assert is_expired(update("callback_query"), 1151.0, limits)
    assert not is_expired(update("callback_query"), 1150.0, limits)
    assert not is_expired(update("callback_query"), 0.0, limits)
    assert not is_expired(update("message"), 1e9, limits)
    assert not is_expired(update("poll"), 1e9, limits)
