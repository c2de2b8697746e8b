"""What is sent to one bot's webhook: histories of attempts and their ends."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.policy.backoff import GONE_S
from sandbox.policy.outcome import Outcome, answered, failed
from sandbox.policy.queue import EntryState, UpdateQueue
from sandbox.state.delivery import Attempt, Delivery
from sandbox.webhooks.places import is_loopback, place_of
from sandbox.webhooks.tls import load_roots

TAKEN = answered(200, "OK", "", kept=True)
BROKEN = answered(503, "Service Unavailable", "", kept=True)
GONE = answered(410, "Gone", "", kept=True)


class Stage:
    """One delivery, and the clock that it is told."""

    def __init__(self, max_connections: int = 40) -> None:
        self.queue = UpdateQueue(1)
        self.woken = 0
        self.delivery = Delivery(self.queue, self._wake)
        self.delivery.start(max_connections, "127.0.0.1")
        self.now = 0.0

    def _wake(self) -> None:
        self.woken += 1

    def push(self, chat: int, lives_s: float = 86400.0) -> int:
        update_id = self.queue.next_id
        body = b'{"update_id":%d,"message":{"chat":{"id":%d}}}' % (update_id, chat)
        self.delivery.add(self.queue.append(update_id, body, self.now + lives_s))
        return update_id

    def begin(self) -> Attempt:
        attempt = self.delivery.begin(self.now, 1.0)
        assert attempt is not None
        return attempt

    def nothing_begins(self) -> bool:
        return self.delivery.begin(self.now, 1.0) is None

    def end(self, attempt: Attempt, outcome: Outcome) -> bool:
        return self.delivery.end(attempt, outcome, self.now, 1e9 + self.now, 0.0, 1.0)


def test_a_failing_update_is_sent_after_each_pause_until_its_time_is_over() -> None:
    stage = Stage()
    stage.push(7, lives_s=150.0)
    sent_at = []
    while len(stage.queue):
        sent_at.append(stage.now)
        stage.end(stage.begin(), BROKEN)
        stage.now = stage.delivery.next_wake_at(stage.now) or stage.now
    assert sent_at == [0.0, 0.0, 2.0, 6.0, 14.0, 30.0, 62.0, 122.0]
    (entry,) = stage.queue.history
    assert (entry.state, entry.served) == (EntryState.EXPIRED, 8)
    assert stage.delivery.next_wake_at(stage.now) is None


def test_without_updates_there_is_nothing_to_wake_for() -> None:
    stage = Stage()
    assert stage.nothing_begins()
    assert stage.delivery.next_wake_at(0.0) is None
    stage.push(7)
    stage.end(stage.begin(), TAKEN)
    assert stage.nothing_begins()
    assert stage.delivery.next_wake_at(0.0) is None
    assert (stage.delivery.attempted, stage.delivery.succeeded, stage.delivery.failed) == (1, 1, 0)


def test_when_a_connection_may_be_opened_is_waited_for() -> None:
    stage = Stage()
    stage.push(7)
    stage.end(stage.begin(), failed("Connection refused"))
    assert stage.nothing_begins()
    assert stage.delivery.next_wake_at(0.0) == 2.0
    stage.now = 2.0
    assert stage.begin().entry.served == 2


def test_others_pass_a_chat_that_waits() -> None:
    stage = Stage()
    stage.push(1)
    stage.push(1)
    other = stage.push(2)
    stage.end(stage.begin(), answered(500, "", "60", kept=True))
    attempt = stage.begin()
    assert attempt.entry.update_id == other
    stage.end(attempt, TAKEN)
    assert stage.nothing_begins()
    assert stage.delivery.next_wake_at(0.0) == 60.0
    assert stage.delivery.last_error_message == "Wrong response from the webhook: 500"


def test_twice_as_many_chats_as_connections_hold_back_everyone() -> None:
    stage = Stage(max_connections=2)
    for chat in range(1, 6):
        stage.push(chat)
    for _ in range(4):
        stage.end(stage.begin(), answered(500, "", "3600", kept=True))
    assert stage.nothing_begins()
    stage.now = 3600.0
    attempt = stage.begin()
    assert attempt.entry.update_id == 1
    stage.end(attempt, TAKEN)
    stage.now += 1.0
    begun = {stage.begin().entry.update_id for _ in range(2)}
    assert begun <= {2, 3, 4, 5}
    assert stage.nothing_begins()


def test_what_is_on_its_way_when_the_webhook_is_deleted_is_confirmed_if_it_is_taken() -> None:
    stage = Stage()
    stage.push(7)
    stage.push(7)
    attempt = stage.begin()
    stage.delivery.stop()
    assert stage.nothing_begins()
    stage.end(attempt, TAKEN)
    assert [entry.state for entry in stage.queue.history] == [EntryState.CONFIRMED, EntryState.PENDING]
    assert [entry.update_id for entry in stage.queue.take(0, 100, 0.0)] == [2]


def test_what_is_on_its_way_when_the_webhook_is_deleted_waits_if_it_is_not_taken() -> None:
    stage = Stage()
    stage.push(7)
    attempt = stage.begin()
    stage.delivery.stop()
    stage.end(attempt, BROKEN)
    assert stage.delivery.last_error_message is None
    assert [entry.update_id for entry in stage.queue.take(0, 100, 0.0)] == [1]
    stage.delivery.start(40, "")
    assert stage.begin().entry.update_id == 1


def test_a_new_webhook_waits_for_what_is_on_its_way_to_the_old_one() -> None:
    stage = Stage()
    stage.push(7)
    stage.push(7)
    other = stage.push(8)
    old = stage.begin()
    stage.delivery.stop()
    stage.delivery.start(1, "")
    attempt = stage.begin()
    assert attempt.entry.update_id == other
    stage.end(attempt, TAKEN)
    assert stage.nothing_begins()
    stage.end(old, BROKEN)
    assert stage.begin().entry.update_id == 1


def test_a_webhook_that_is_gone_for_23_hours_is_to_be_deleted() -> None:
    stage = Stage()
    for _ in range(4):
        stage.push(7, lives_s=10 * 86400.0)
    assert not stage.end(stage.begin(), GONE)
    stage.now = GONE_S
    assert not stage.end(stage.begin(), GONE)
    stage.now += 3600.0
    assert stage.end(stage.begin(), GONE)


@pytest.mark.parametrize(
    ("between", "deleted"), [(TAKEN, False), (BROKEN, False), (failed("Connection refused"), True)]
)
def test_any_other_answer_begins_the_23_hours_anew(between: Outcome, deleted: bool) -> None:
    stage = Stage()
    for chat in (1, 2, 3):
        stage.push(chat, lives_s=10 * 86400.0)
    stage.end(stage.begin(), GONE)
    stage.now = 3600.0
    stage.end(stage.begin(), between)
    stage.now = GONE_S + 7200.0
    assert stage.end(stage.begin(), GONE) is deleted


HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(["push", "begin", "end", "pass", "stop", "start"]),
        st.integers(1, 4),
        st.sampled_from([TAKEN, TAKEN, BROKEN, failed("Connection refused")]),
    ),
    max_size=150,
)


@given(HISTORIES, st.integers(1, 3))
def test_any_history_is_serial_in_each_chat_and_loses_nothing(
    history: list[tuple[str, int, Outcome]], limit: int
) -> None:
    stage = Stage(limit)
    chats: dict[int, int] = {}
    taken: list[int] = []
    under_way: list[Attempt] = []
    for step, number, outcome in history:
        match step:
            case "push":
                chats[stage.push(number)] = number
            case "begin":
                attempt = stage.delivery.begin(stage.now, 1.0)
                if attempt is not None:
                    under_way.append(attempt)
            case "end" if under_way:
                attempt = under_way.pop(number % len(under_way))
                stage.end(attempt, outcome)
                if outcome is TAKEN:
                    taken.append(attempt.entry.update_id)
            case "pass":
                stage.now += number
            case "stop":
                stage.delivery.stop()
            case "start":
                stage.delivery.start(limit, "")
        open_chats = [chats[attempt.entry.update_id] for attempt in under_way]
        assert len(set(open_chats)) == len(open_chats)
        assert stage.delivery.connections.busy <= limit
    # Whatever happened: a webhook that takes everything gets the rest, in order.
    for attempt in under_way:
        stage.end(attempt, BROKEN)
    stage.delivery.start(limit, "")
    while len(stage.queue):
        attempt = stage.delivery.begin(stage.now, 1.0)
        if attempt is None:
            stage.now += 1.0
            continue
        stage.end(attempt, TAKEN)
        taken.append(attempt.entry.update_id)
    assert sorted(taken) == sorted(chats)
    for chat in set(chats.values()):
        of_chat = [update_id for update_id in taken if chats[update_id] == chat]
        assert of_chat == sorted(of_chat)


def test_an_address_in_parts() -> None:
    place = place_of("https://user:p%40ss@bücher.example:8443/a%2Fb?c=d e")
    assert (place.secure, place.host, place.port) == (True, "xn--bcher-kva.example", 8443)
    assert place.url_at("127.0.0.1") == "https://127.0.0.1:8443/a%2Fb?c=d%20e"
    assert place.authorization == "Basic dXNlcjpwQHNz"
    assert place.ip_address == ""
    assert place_of("http://[::1]").url_at("::1") == "http://[::1]:80/"
    assert place_of("https://localhost").ip_address == "127.0.0.1"
    assert place_of("https://127.0.0.1").ip_address == "127.0.0.1"


@pytest.mark.parametrize("url", ["", "x", "ftp://x", "https://", "http://127.0.0.1:99999", "http://a..b/"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError):
        place_of(url)


def test_which_hosts_are_this_machine_everywhere() -> None:
    assert all(is_loopback(host) for host in ("localhost", "a.localhost", "127.9.9.9", "::1"))
    assert not any(is_loopback(host) for host in ("notlocalhost", "10.0.0.1", "localhost.example.com"))


def test_webhooks_must_speak_tls_1_2() -> None:
    assert load_roots(None).minimum_version == ssl.TLSVersion.TLSv1_2
