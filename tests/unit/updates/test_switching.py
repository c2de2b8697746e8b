"""When a bot leaves its webhook for polling and comes back, as histories of what Telegram says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.updates.policy.switching import LONGEST_WAIT_S, Patience, Switching, after_look, after_wait

PATIENCE = Patience(switch_after_s=60.0, return_after_s=600.0)


class History:
    """Plays looks at their times; the webhook is tried again exactly when its wait is over."""

    def __init__(self, patience: Patience = PATIENCE) -> None:
        self.state, self.now, self.patience = Switching(), 0.0, patience
        #: When the mode changed, and to what.
        self.changes: list[tuple[float, str]] = []

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        at = self.state.return_at
        if at is not None and self.now >= at:
            self.now = at
            self.state = after_wait(self.state, at)
            self.changes.append((at, "webhook"))

    def look(self, *, is_failing: bool) -> None:
        """Look, if the webhook is in use."""
        if self.state.is_polling:
            return
        self.state = after_look(self.state, is_failing=is_failing, now=self.now, patience=self.patience)
        if self.state.is_polling:
            self.changes.append((self.now, "polling"))

    def fail(self, seconds: float, every_s: float = 15.0) -> None:
        """Let deliveries fail for so long."""
        for _ in range(int(seconds / every_s) + 1):
            self.look(is_failing=True)
            self.pass_time(every_s)


def test_a_failure_shorter_than_switch_after_changes_nothing():
    history = History()
    for at in (0, 30, 59):
        history.now = at
        history.look(is_failing=True)
    history.look(is_failing=False)
    history.now = 118
    history.look(is_failing=True)
    assert history.changes == []


def test_a_failure_that_lasts_falls_back_and_the_webhook_is_tried_again():
    history = History()
    history.fail(60)
    assert history.changes == [(60, "polling")]
    history.pass_time(1000)
    assert history.changes[1:] == [(660, "webhook")]
    assert history.state.switches == 2


def test_each_try_that_fails_doubles_the_wait_up_to_an_hour():
    history = History()
    while len(history.changes) < 14:
        history.fail(60)
        history.pass_time(1e6)
    times = [at for at, _ in history.changes]
    waits = [tried - fell for fell, tried in zip(times[::2], times[1::2], strict=True)]
    assert waits == [600, 1200, 2400, 3600, 3600, 3600, 3600]


def test_a_longer_return_after_is_never_cut():
    history = History(Patience(60.0, 2 * LONGEST_WAIT_S))
    for _ in range(2):
        history.fail(60)
        history.pass_time(1e6)
    times = [at for at, _ in history.changes]
    assert [times[1] - times[0], times[3] - times[2]] == [2 * LONGEST_WAIT_S] * 2


def test_a_try_that_was_good_for_long_starts_the_wait_over():
    history = History()
    for _ in range(2):
        history.fail(60)
        history.pass_time(1e6)
    assert history.state.wait_s == 1200
    history.look(is_failing=False)
    history.pass_time(599)
    history.look(is_failing=False)
    assert history.state.wait_s == 1200
    history.pass_time(1)
    history.look(is_failing=False)
    history.fail(60)
    assert history.state.wait_s == 600


def test_a_try_that_was_good_for_short_does_not():
    history = History()
    history.fail(60)
    history.pass_time(1e6)
    history.pass_time(300)
    history.look(is_failing=False)
    history.fail(60)
    assert history.state.wait_s == 1200


@pytest.mark.parametrize("count", [1, 5])
def test_changes_are_counted_both_ways(count: int):
    history = History()
    for _ in range(count):
        history.fail(60)
        history.pass_time(1e6)
    assert history.state.switches == len(history.changes) == 2 * count


@given(
    st.lists(st.tuples(st.floats(1, 400), st.booleans()), max_size=80),
    st.builds(Patience, st.floats(1, 300), st.floats(1, 5000)),
)
def test_no_bot_flaps(looks, patience):
    """Whatever Telegram says: it fails for switch_after first, and then polls for return_after at least."""
    history = History(patience)
    failing_since = None
    for pause_s, is_failing in looks:
        polled = history.state.is_polling
        history.pass_time(pause_s)
        if polled:
            failing_since = None
        if history.state.is_polling:
            continue
        if not is_failing:
            failing_since = None
        elif failing_since is None:
            failing_since = history.now
        before = len(history.changes)
        history.look(is_failing=is_failing)
        if len(history.changes) > before:
            assert failing_since is not None
            assert history.now - failing_since >= patience.switch_after_s
    fell, tried = history.changes[::2], history.changes[1::2]
    assert {mode for _, mode in fell} <= {"polling"}
    assert {mode for _, mode in tried} <= {"webhook"}
    longest_s = max(LONGEST_WAIT_S, patience.return_after_s)
    for (fell_at, _), (tried_at, _) in zip(fell, tried, strict=False):
        # Times were added up, which rounds.
        assert patience.return_after_s - 1e-6 <= tried_at - fell_at <= longest_s + 1e-6
