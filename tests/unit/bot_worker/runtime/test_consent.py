"""What keeps a worker awake, in words."""

import pytest

from bot_worker.runtime.policy.consent import Business, decide_refusal

REASONS = [
    (Business(is_running=False), "its Application does not run"),
    (Business(updates=1), "1 update is in progress"),
    (Business(updates=2), "2 updates are in progress"),
    (Business(queued=3), "3 objects wait in its update_queue"),
    (Business(tasks=1), "1 task of Application.create_task run"),
    (Business(timeouts=2), "2 conversations wait for a timeout"),
    (Business(jobs=2), "2 jobs are scheduled"),
    (Business(own_tasks=("feed", "poll")), "asyncio tasks of its own run: feed, poll"),
    (Business(own_tasks=tuple("abcde")), "asyncio tasks of its own run: a, b, c and 2 more"),
    (Business(awaits_timer=True), "its main coroutine waits for a timer"),
    (Business(threads=("feed",)), "threads of its own run: feed"),
    (Business(children=1), "1 child process runs"),
    (Business(listeners=2), "it listens on 2 sockets"),
]


@pytest.mark.parametrize(("business", "reason"), REASONS)
@pytest.mark.parametrize("unsafe", [False, True])
def test_business_keeps_it_awake_whatever_may_be_lost(business: Business, reason: str, unsafe: bool):
    assert decide_refusal(business, unsafe=unsafe) == reason


def test_what_only_memory_keeps_may_be_lost_where_that_is_said():
    lost = Business(kept_in_memory=("conversations", "user_data"))
    words = "no persistence keeps its conversations and user_data; add one, or set idle_unsafe: true"
    assert decide_refusal(lost, unsafe=False) == words
    assert decide_refusal(lost, unsafe=True) is None


def test_without_business_it_may_sleep():
    assert decide_refusal(Business(), unsafe=False) is None
