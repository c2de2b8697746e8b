"""How a bot's webhook is set and watched, as histories: outcomes in, calls and states out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.updates.ingress import IngressState
from supervisor.updates.policy.hook_info import Info, Record
from supervisor.updates.policy.polling import (
    LONGEST_CONFLICT_WAIT_S,
    Failed,
    Held,
    Identified,
    Identify,
    Rejected,
    Stop,
    Throttled,
)
from supervisor.updates.policy.registration import (
    CALM_LOOK_S,
    CROWD,
    HEAL_AFTER_S,
    PACE_S,
    TROUBLED_LOOK_S,
    UNDISTURBED_S,
    WATCHFUL_LOOK_S,
    Act,
    Inspect,
    Inspected,
    Register,
    Registered,
    Registration,
    Unconfigured,
    after,
    begun,
    next_call,
)

OK, CONFLICT, OUTAGE, PACED, OFF, UNAUTHORIZED = (
    IngressState.OK,
    IngressState.CONFLICT,
    IngressState.OUTAGE,
    IngressState.PACED,
    IngressState.OFF,
    IngressState.UNAUTHORIZED,
)
URL, PRINT = "https://bots.example.com/webhook/shop", "fingerprint"
OURS = Info(url=URL, max_connections=40, allowed_updates=("message", "poll"))
NONE = Info()
THEIRS = Info(url="https://elsewhere.example.com/hook", max_connections=40)
RECORD = Record(PRINT, OURS.facts, ("message",))

#: A bot whose webhook an earlier master has set.
RESTARTED = Registration(is_identified=True, is_known=True, record=RECORD)
#: The middle of the jitter is a look exactly at its time.
MIDDLE = 0.5


def seen(info: Info, **changes) -> Inspected:
    return Inspected(info, URL, **({"fingerprint": PRINT} | changes))


class History:
    """Plays outcomes, each after the wait that was decided."""

    def __init__(self, state: Registration = RESTARTED, jitter: float = MIDDLE) -> None:
        self.state, self.now, self.jitter = state, 1000.0, jitter

    def play(self, *outcomes) -> Act:
        decision: Act | Stop = Act(next_call(self.state))
        for outcome in outcomes:
            self.state, decision = after(outcome, self.state, self.now, self.jitter)
            if isinstance(decision, Act):
                self.now += decision.wait_s
        assert isinstance(decision, Act)
        return decision

    @property
    def shown(self) -> IngressState:
        return self.state.ingress


@pytest.fixture
def settled() -> History:
    """A bot whose webhook this master has set and seen."""
    history = History()
    history.play(seen(NONE), Registered(PRINT), seen(OURS))
    return history


def test_a_new_bot_says_who_it_is_looks_sets_and_looks_again():
    history = History(Registration())
    assert history.play() == Act(Identify())
    assert history.play(Identified()) == Act(Inspect())
    assert history.play(seen(NONE)) == Act(Register())
    assert history.play(Registered(PRINT)) == Act(Inspect())
    assert history.play(seen(OURS)) == Act(Inspect(), CALM_LOOK_S, may_hurry=True)
    assert history.shown is OK
    assert history.state.is_registered
    assert history.state.record == Record(PRINT, OURS.facts)


def test_a_restart_sets_nothing():
    history = History()
    assert history.play(seen(OURS)) == Act(Inspect(), CALM_LOOK_S, may_hurry=True)
    assert history.shown is OK
    assert history.state.record == RECORD


@pytest.mark.parametrize(
    "look",
    [
        seen(NONE),
        seen(THEIRS),
        seen(Info(url=URL, max_connections=39, allowed_updates=("message", "poll"))),
        seen(Info(url=URL, max_connections=40, allowed_updates=("message",))),
        seen(Info(url=URL, max_connections=40, has_custom_certificate=True)),
        seen(OURS, fingerprint="of another secret"),
    ],
)
def test_whatever_differs_is_set(look):
    assert History().play(look) == Act(Register())


def test_the_order_in_which_telegram_lists_kinds_makes_no_difference():
    shuffled = Info(url=URL, max_connections=40, allowed_updates=("poll", "message"))
    assert History().play(seen(shuffled)).call == Inspect()


def test_what_telegram_makes_of_the_settings_is_what_is_compared_from_then_on():
    """It leaves out kinds that it does not know, so what was asked for would differ at every look."""
    history = History()
    lean = Info(url=URL, max_connections=40, allowed_updates=("message",))
    assert history.play(seen(NONE), Registered(PRINT), seen(lean)).call == Inspect()
    assert history.play(seen(lean)).call == Inspect()
    assert history.state.record == Record(PRINT, lean.facts, ("message",))


def test_a_changed_wish_is_paced_and_no_conflict():
    history = History()
    history.play(seen(NONE), Registered(PRINT))
    decision = history.play(seen(OURS, fingerprint="of other kinds"))
    assert decision == Act(Register(), PACE_S)
    assert history.state.foreign == 0


def test_another_address_of_our_own_is_no_conflict(settled: History):
    look = Inspected(OURS, URL.replace("bots", "new"), "of the new address")
    settled.now += 10
    assert settled.play(look) == Act(Register())
    assert (settled.state.foreign, settled.shown) == (0, OK)


@pytest.mark.parametrize(
    ("look", "pause_s"),
    [
        (seen(OURS), CALM_LOOK_S),
        (seen(OURS, is_watchful=True), WATCHFUL_LOOK_S),
        (seen(OURS, crowd=CROWD), CALM_LOOK_S),
        (seen(OURS, crowd=10 * CROWD), 10 * CALM_LOOK_S),
        (seen(Info(URL, False, 3, 40, ("message", "poll")), crowd=10 * CROWD), TROUBLED_LOOK_S),
        (seen(Info(URL, False, 3, 40, ("message", "poll"))), TROUBLED_LOOK_S),
        (seen(Info(URL, False, 3, 40, ("message", "poll")), is_watchful=True), TROUBLED_LOOK_S),
    ],
)
def test_the_next_look_is_sooner_while_updates_wait(look, pause_s):
    assert History().play(look) == Act(Inspect(), pause_s, may_hurry=True)


def test_the_looks_of_a_fleet_are_spread():
    early, late = History(jitter=0.0).play(seen(OURS)), History(jitter=1.0).play(seen(OURS))
    assert (early.wait_s, late.wait_s) == pytest.approx((0.8 * CALM_LOOK_S, 1.2 * CALM_LOOK_S))


def test_what_keeps_telegram_from_us_is_said_in_its_words(settled: History):
    failing = Info(URL, False, 12, 40, ("message", "poll"), 1, "Connection timed out")
    settled.play(seen(failing, is_unreachable=True))
    assert settled.shown is OUTAGE
    assert settled.state.detail == "Telegram cannot deliver: Connection timed out (12 updates wait there)"
    settled.play(seen(OURS))
    assert (settled.shown, settled.state.detail) == (OK, "")


def test_one_foreign_change_is_set_right_and_not_spoken_of(settled: History):
    assert settled.play(seen(THEIRS)) == Act(Register(), 0.75)
    settled.play(Registered(PRINT), seen(OURS))
    assert settled.shown is OK


@pytest.mark.parametrize(
    "change", [THEIRS, NONE, Info(url=URL, max_connections=7, allowed_updates=("message", "poll"))]
)
def test_a_rival_is_a_conflict_fought_ever_more_slowly_and_never_given_up(settled: History, change: Info):
    waits = []
    for _ in range(10):
        waits.append(settled.play(seen(change)).wait_s)
        settled.play(Registered(PRINT), seen(OURS))
    assert waits == [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, *[0.75 * LONGEST_CONFLICT_WAIT_S] * 4]
    assert settled.shown is CONFLICT
    assert "somebody else" in settled.state.detail


def test_a_conflict_is_over_when_nobody_interfered_for_a_while(settled: History):
    for _ in range(2):
        settled.play(seen(THEIRS), Registered(PRINT), seen(OURS))
    assert settled.shown is CONFLICT
    looks = 0
    while settled.shown is CONFLICT:
        began_at = settled.now
        assert settled.play(seen(OURS)).wait_s <= CALM_LOOK_S
        assert settled.shown is OK or settled.now - began_at == TROUBLED_LOOK_S
        looks += 1
        assert looks < 100
    assert settled.now - settled.state.foreign_at >= UNDISTURBED_S
    assert settled.state.foreign == 0


def test_a_change_that_could_not_be_undone_yet_is_not_counted_again(settled: History):
    settled.play(seen(THEIRS), Throttled(30), seen(THEIRS), Failed("x"), seen(THEIRS))
    assert settled.state.foreign == 1


def test_a_registration_without_an_answer_is_made_again_whatever_is_seen(settled: History):
    """Telegram may have taken it in, and shows nothing of the secret."""
    assert settled.play(seen(OURS, fingerprint="of another secret")).call == Register()
    settled.play(Failed("no answer within 20 s"))
    assert settled.play(seen(OURS)).call == Register()
    assert settled.state.foreign == 0
    settled.play(Registered(PRINT), seen(OURS))
    assert settled.play(seen(OURS)).call == Inspect()


def test_what_became_of_a_registration_is_open_on_disk_until_it_is_known():
    history = History()
    history.play(seen(NONE))
    assert history.state.record == Record("", RECORD.facts, RECORD.asked_for)
    history.play(Registered(PRINT))
    assert history.state.record.fingerprint == PRINT


@pytest.mark.parametrize("info", [NONE, OURS, THEIRS])
def test_a_registration_that_was_never_looked_at_is_made_again(info: Info):
    """So it is if the master was killed, or the bot moved to polling and back, just after it was set."""
    assert History(Registration(is_identified=True, record=Record(PRINT))).play(seen(info)).call == Register()


def test_an_address_of_our_own_that_changes_while_it_is_set_is_no_conflict():
    history = History()
    history.play(seen(NONE), Registered(PRINT))
    moved = Inspected(OURS, URL.replace("bots", "new"), "of the new address")
    assert history.play(moved) == Act(Register(), PACE_S)
    assert history.state.foreign == 0


@pytest.mark.parametrize("outcome", [Registered(PRINT), Failed("x"), None], ids=["set", "failed", "cut off"])
def test_telegrams_pace_counts_beyond_a_new_beginning(settled: History, outcome):
    settled.now += 100
    settled.play(seen(NONE))
    if outcome is not None:
        settled.state, _ = after(outcome, settled.state, settled.now, MIDDLE)
    settled.now += 0.25 if outcome is not None else 0.0
    settled.state = begun(settled.state, settled.state.record, settled.now, is_identified=True)
    settled.now += 0.25
    assert settled.play(seen(NONE)) == Act(Register(), 0.75 if outcome is None else 0.5)
    assert settled.shown is OFF


def test_the_wait_grows_while_setting_fails_though_looking_does_not():
    history = History(jitter=0.0)
    waits = []
    for _ in range(8):
        assert history.play(seen(NONE)).call == Register()
        waits.append(history.play(Failed("400 bad webhook: HTTPS url must be provided")).wait_s)
        assert history.shown is OUTAGE
    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]
    history.play(seen(NONE), Registered(PRINT), seen(OURS))
    assert history.shown is OK
    assert history.play(Failed("x")).wait_s == 0.5


def test_one_connection_that_ends_as_idle_ones_do_is_not_shown(settled: History):
    settled.play(Failed("closed", is_stray=True))
    assert settled.shown is OK
    settled.play(Failed("closed", is_stray=True))
    assert settled.shown is OUTAGE


@pytest.mark.parametrize("pause_s", [0.0, 3.0, 7200.0])
def test_a_pause_that_telegram_asks_for_is_kept_to_the_second(settled: History, pause_s: float):
    settled.play(seen(THEIRS))
    assert settled.play(Throttled(pause_s)) == Act(Inspect(), pause_s, may_hurry=False)
    assert settled.shown is PACED


def test_pauses_without_a_length_grow(settled: History):
    waits = [settled.play(Throttled(None)).wait_s for _ in range(3)]
    assert waits == [0.75, 1.5, 3.0]


def test_a_token_that_telegram_does_not_know_yet_waits_at_the_gate_only():
    history = History(Registration())
    assert history.play(Throttled(30.0)) == Act(Identify())
    assert history.play(Held()) == Act(Identify())
    assert (history.shown, "waits its turn" in history.state.detail) == (PACED, True)


@pytest.mark.parametrize("status", [401, 404])
def test_a_rejected_token_ends_it(settled: History, status: int):
    state, decision = after(Rejected(status, "Unauthorized"), settled.state, 1.0, MIDDLE)
    assert decision == Stop()
    assert (state.ingress, state.detail) == (
        UNAUTHORIZED,
        f"Telegram rejected the token: {status} Unauthorized",
    )


def test_a_missing_key_is_named_and_looked_for_when_something_changes():
    history = History()
    decision = history.play(Unconfigured("webhook.host is not set"))
    assert decision == Act(Inspect(), CALM_LOOK_S, may_hurry=True)
    assert (history.shown, history.state.detail) == (OUTAGE, "webhook.host is not set")


# --- a wrong secret at Telegram ---------------------------------------------------------------

REFUSED = Info(URL, False, 2, 40, ("message", "poll"), 1, "Wrong response from the webhook: 401 Unauthorized")


def test_a_wrong_secret_at_telegram_is_set_right_at_once_by_a_new_master():
    assert History().play(seen(REFUSED, is_refused=True)) == Act(Register())


def test_and_by_the_master_that_has_set_it_every_few_minutes(settled: History):
    set_at = settled.state.set_at
    assert set_at is not None
    settled.now = set_at + HEAL_AFTER_S - 1
    assert settled.play(seen(REFUSED, is_refused=True)).call == Inspect()
    settled.now = set_at + HEAL_AFTER_S
    assert settled.play(seen(REFUSED, is_refused=True)) == Act(Register())
    assert settled.state.foreign == 0


@pytest.mark.parametrize(
    "look",
    [
        seen(OURS, is_refused=True),
        seen(REFUSED, is_refused=False),
        seen(Info(URL, False, 2, 40, ("message", "poll"), 1, "Connection timed out"), is_refused=True),
        seen(Info(URL, False, 0, 40, ("message", "poll"), 1, REFUSED.last_error_message), is_refused=True),
    ],
    ids=["nothing failed", "by somebody else", "another failure", "nothing waits"],
)
def test_a_stranger_with_a_wrong_secret_moves_nothing(look):
    assert History().play(look).call == Inspect()


# --- whatever happens -------------------------------------------------------------------------

INFOS = st.sampled_from([OURS, NONE, THEIRS, REFUSED])
OUTCOMES = st.one_of(
    st.builds(
        Inspected,
        INFOS,
        st.just(URL),
        st.sampled_from([PRINT, "another"]),
        is_unreachable=st.booleans(),
        is_refused=st.booleans(),
        is_watchful=st.booleans(),
    ),
    st.builds(Failed, st.just("x"), st.booleans()),
    st.builds(Throttled, st.none() | st.floats(0, 100)),
    st.just(Unconfigured("x")),
    st.just(Held()),
)


ENDS = st.sampled_from([Registered(PRINT), Failed("no answer"), Throttled(None), Throttled(3.0)])


@given(st.lists(st.tuples(OUTCOMES, ENDS, st.booleans()), max_size=60), st.floats(0, 1))
def test_no_two_registrations_within_a_second_and_none_without_a_look(steps, jitter):
    """Whatever is looked at, whatever setWebhook comes to, whenever it begins anew."""
    history = History(jitter=jitter)
    set_at = -PACE_S
    for outcome, end, begins_anew in steps:
        if begins_anew:
            history.state = begun(history.state, history.state.record, history.now, is_identified=True)
        decision = history.play(outcome)
        if isinstance(outcome, Throttled) and outcome.retry_after_s is not None:
            assert decision.wait_s == outcome.retry_after_s
            assert not decision.may_hurry
        if decision.call == Register():
            assert isinstance(outcome, Inspected)
            assert history.now >= set_at + PACE_S - 1e-6  # times are added up, which rounds
            set_at = history.now
            assert history.play(end).call == Inspect()
