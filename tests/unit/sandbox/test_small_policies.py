"""Kinds of update, admission of new tokens, choice of faults."""

import pytest

from sandbox.policy.admission import AdmissionLimits, NewTokens
from sandbox.policy.faults import ENDLESS, Fault, FaultBook, FaultKind
from sandbox.policy.kinds import is_allowed, kind_of, ttl_s


@pytest.mark.parametrize(
    ("update", "kind"),
    [
        ({"update_id": 1, "message": {}}, "message"),
        ({"callback_query": {}, "update_id": 1}, "callback_query"),
        ({"update_id": 1}, ""),
    ],
)
def test_the_kind_of_an_update(update: dict[str, object], kind: str) -> None:
    assert kind_of(update) == kind


@pytest.mark.parametrize(
    ("kind", "allowed", "expected"),
    [
        ("message", frozenset(), True),
        ("chat_member", frozenset(), False),
        ("message_reaction", frozenset({"message_reaction"}), True),
        ("message", frozenset({"callback_query"}), False),
    ],
)
def test_which_kinds_a_bot_gets(kind: str, allowed: frozenset[str], expected: bool) -> None:
    assert is_allowed(kind, allowed) is expected


def test_button_presses_and_inline_queries_live_shorter() -> None:
    assert ttl_s("message", 86400) == 86400
    assert ttl_s("callback_query", 86400) == 150
    assert ttl_s("inline_query", 86400) == 30
    assert ttl_s("callback_query", 10) == 10


def test_new_tokens_are_limited_in_a_sliding_minute() -> None:
    tokens, limits = NewTokens(), AdmissionLimits(per_minute=2)
    assert [tokens.admit(limits, at) for at in (0.0, 10.0, 20.0)] == [0, 0, 40]
    assert tokens.admit(limits, 59.9) == 1
    assert tokens.admit(limits, 60.0) == 0
    assert tokens.admit(limits, 61.0) == 9


def test_the_hour_is_a_limit_of_its_own() -> None:
    tokens, limits = NewTokens(), AdmissionLimits(per_minute=20, per_hour=1)
    assert tokens.admit(limits, 0.0) == 0
    assert tokens.admit(limits, 100.0) == 3500
    assert tokens.admit(limits, 3600.0) == 0


def test_no_limit_admits_everyone() -> None:
    tokens = NewTokens()
    assert not any(tokens.admit(AdmissionLimits(), 0.0) for _ in range(1000))


def book(*faults: Fault) -> FaultBook:
    result = FaultBook()
    for fault in faults:
        result.add(fault)
    return result


def test_a_fault_happens_as_often_as_it_was_asked_to() -> None:
    fault = Fault(1, FaultKind.RESET, left=2)
    faults = book(fault)
    assert [faults.fire(1, "getme") is not None for _ in range(3)] == [True, True, False]
    assert fault.fired == 2


def test_an_endless_fault_happens_until_it_is_cleared() -> None:
    faults = book(Fault(1, FaultKind.RESET, left=ENDLESS))
    assert all(faults.fire(1, "getme") for _ in range(100))
    assert faults.remove(1)
    assert faults.fire(1, "getme") is None
    assert not faults.remove(1)


def test_a_fault_is_for_its_bot_and_its_method() -> None:
    faults = book(Fault(1, FaultKind.RESET, bot=7, method="sendmessage"))
    assert faults.fire(8, "sendmessage") is None
    assert faults.fire(7, "getupdates") is None
    assert faults.fire(7, "sendmessage") is not None


def test_the_first_fault_that_matches_happens() -> None:
    faults = book(Fault(1, FaultKind.RESET, bot=7), Fault(2, FaultKind.HANG))
    fired = [faults.fire(7, "getme"), faults.fire(7, "getme"), faults.fire(7, "getme")]
    assert [fault and fault.kind for fault in fired] == [FaultKind.RESET, FaultKind.HANG, None]
