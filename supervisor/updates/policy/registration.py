"""Decides what is asked of Telegram so that a bot's webhook is, and stays, what it should be.

Pure: after each outcome, the next call and the wait before it. setWebhook is called where something differs
and at no other time: Telegram's list of settings is compared with what it showed after the last registration,
and what it does not show, the secret and the certificate, by a digest.
"""

from dataclasses import dataclass, field, replace
from typing import assert_never

from supervisor.updates.ingress import IngressState
from supervisor.updates.policy.backoff import wait_s
from supervisor.updates.policy.hook_info import (
    Facts,
    Info,
    Record,
    describe_trouble,
    is_refused_by_us,
)
from supervisor.updates.policy.polling import (
    LONGEST_CONFLICT_WAIT_S,
    MAX_PAUSE_S,
    Failed,
    Held,
    Identified,
    Identify,
    Rejected,
    Stop,
    Throttled,
)

#: Telegram takes one setWebhook a second for each bot.
PACE_S = 1.0
#: Between two looks while all is well; the same for a bot that is to fall back soon; and while updates wait
#: at Telegram, or somebody else changed the webhook lately.
CALM_LOOK_S = 300.0
WATCHFUL_LOOK_S = 60.0
TROUBLED_LOOK_S = 15.0
#: Of more bots than this each is looked at less often, so that no more questions are asked: ten thousand
#: would cost 33 a second while nothing happens.
CROWD = 1000
#: Somebody else's changes are over when none was seen for this long.
UNDISTURBED_S = 300.0
#: Between two registrations because Telegram seems to have a wrong secret.
HEAL_AFTER_S = 300.0

_FOREIGN = "somebody else keeps changing this bot's webhook; it is set again each time"


@dataclass(frozen=True, slots=True)
class Inspect:
    """getWebhookInfo"""


@dataclass(frozen=True, slots=True)
class Register:
    """setWebhook, keeping what waits at Telegram."""


Call = Identify | Inspect | Register


@dataclass(frozen=True, slots=True)
class Act:
    """Make ``call`` after ``wait_s`` seconds; ``may_hurry``: sooner if something changes that it hangs on."""

    call: Call
    wait_s: float = 0.0
    may_hurry: bool = False


@dataclass(frozen=True, slots=True)
class Inspected:
    """getWebhookInfo answered.

    ``url`` and ``fingerprint`` are those of the webhook that should be. ``is_unreachable``: Telegram fails to
    get through to us. ``is_refused``: we refused a request for its secret since the last registration.
    ``is_watchful``: that Telegram fails must be noticed soon. ``crowd`` is how many bots are looked at.
    """

    info: Info
    url: str
    fingerprint: str
    is_unreachable: bool = False
    is_refused: bool = False
    is_watchful: bool = False
    crowd: int = 1


@dataclass(frozen=True, slots=True)
class Registered:
    """setWebhook answered; ``fingerprint`` is that of what it was told."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class Unconfigured:
    """There is nothing to register: ``detail`` names the key that is missing."""

    detail: str


Outcome = Identified | Inspected | Registered | Unconfigured | Rejected | Throttled | Failed | Held
Decision = Act | Stop


@dataclass(frozen=True, slots=True)
class Registration:
    """Where one bot's webhook stands.

    ``is_known``: Telegram has answered a call of this token with anything but 429. ``record`` is what is
    kept on disk; it has no fingerprint while it is open what Telegram took in last. ``is_fresh``: registered,
    and not looked at since. ``failures`` counts those in a row, ``foreign`` changes that somebody else made,
    the last of which was seen at ``foreign_at``. ``set_at`` is when it was last registered. ``is_setting``:
    setWebhook is due or under way; ``called_at`` is when it was last over, whatever came of it. Times in
    monotonic seconds.
    """

    ingress: IngressState = IngressState.OFF
    detail: str = ""
    is_identified: bool = False
    is_known: bool = False
    record: Record = field(default_factory=Record)
    is_fresh: bool = False
    is_registered: bool = False
    info: Info | None = None
    failures: int = 0
    foreign: int = 0
    foreign_at: float = 0.0
    set_at: float | None = None
    is_setting: bool = False
    called_at: float | None = None


def begun(old: Registration, record: Record, now: float, *, is_identified: bool) -> Registration:
    """Return the state from which watching begins anew: of what was, Telegram's pace still counts."""
    called_at = now if old.is_setting else old.called_at
    return Registration(
        is_identified=is_identified, is_known=old.is_known, record=record, called_at=called_at
    )


def next_call(state: Registration) -> Call:
    """Return the call that is due in ``state``: a look, before anything is changed."""
    return Inspect() if state.is_identified else Identify()


def after(outcome: Outcome, state: Registration, now: float, jitter: float) -> tuple[Registration, Decision]:
    """Return the new state and what to do.

    Args:
        outcome: what the last call came to.
        state: before it.
        now: monotonic seconds.
        jitter: 0 up to 1, drawn anew.
    """
    if state.is_setting and not isinstance(outcome, Held):
        state = replace(state, is_setting=False, called_at=now)
    match outcome:
        case Identified():
            state = replace(state, is_identified=True, is_known=True, failures=0)
            return state, Act(Inspect())
        case Inspected():
            return _after_look(state, outcome, now, jitter)
        case Registered(fingerprint):
            record = Record(fingerprint, Facts(), state.record.asked_for)
            state = replace(state, record=record, is_fresh=True, set_at=now, failures=0, is_known=True)
            return _shown(state), Act(Inspect())
        case Unconfigured(detail):
            state = replace(state, ingress=IngressState.OUTAGE, detail=detail)
            return state, Act(Inspect(), CALM_LOOK_S, may_hurry=True)
        case Rejected(status, description):
            detail = f"Telegram rejected the token: {status} {description}"
            state = replace(state, ingress=IngressState.UNAUTHORIZED, detail=detail, is_known=True)
            return state, Stop()
        case Throttled(retry_after_s):
            failures = state.failures + (retry_after_s is None)
            pause_s = wait_s(failures, jitter) if retry_after_s is None else min(retry_after_s, MAX_PAUSE_S)
            detail = f"Telegram asked for a pause of {pause_s:.0f} s"
            state = replace(state, ingress=IngressState.PACED, detail=detail, failures=failures)
            return state, Act(next_call(state), pause_s if state.is_known else 0.0)
        case Failed(detail, is_stray):
            failures = state.failures + 1
            state = replace(state, failures=failures)
            if failures > 1 or not is_stray:
                state = replace(state, ingress=IngressState.OUTAGE, detail=detail)
            return state, Act(next_call(state), wait_s(failures, jitter))
        case Held():
            detail = "waits its turn: Telegram admits 20 new bots a minute"
            return replace(state, ingress=IngressState.PACED, detail=detail), Act(next_call(state))
        case _:
            assert_never(outcome)


def with_record(state: Registration, record: Record) -> Registration:
    """Return ``state`` with another record."""
    return replace(state, record=record)


def _after_look(
    state: Registration, look: Inspected, now: float, jitter: float
) -> tuple[Registration, Decision]:
    was_fresh = state.is_fresh
    state = replace(state, info=look.info, is_known=True, is_fresh=False)
    if was_fresh and (look.info.url == look.url or look.fingerprint != state.record.fingerprint):
        # Whatever Telegram made of the settings is what it should show from now on.
        record = Record(state.record.fingerprint, look.info.facts, state.record.asked_for)
        state = replace(state, record=record)
    is_as_set = look.info.facts == state.record.facts
    # After a registration that was never looked at, no webhook at all is "as set" too.
    is_as_wanted = look.fingerprint == state.record.fingerprint and look.info.url == look.url
    if is_as_set and is_as_wanted and not _needs_healing(state, look, now):
        return _settled(state, look, now, jitter)
    # No change of somebody else's: what was changed before this master, and what it could not undo yet.
    is_foreign = not is_as_set and state.set_at is not None and bool(state.record.fingerprint)
    return _set_again(state, now, jitter, is_foreign=is_foreign)


def _settled(
    state: Registration, look: Inspected, now: float, jitter: float
) -> tuple[Registration, Decision]:
    """Return the state of a webhook that is as it should be, and the next look."""
    if now >= state.foreign_at + UNDISTURBED_S:
        state = replace(state, foreign=0)
    state = _shown(replace(state, is_registered=True, failures=0))
    if look.is_unreachable:
        state = replace(state, ingress=IngressState.OUTAGE, detail=describe_trouble(look.info))
    pause_s = (WATCHFUL_LOOK_S if look.is_watchful else CALM_LOOK_S) * max(look.crowd / CROWD, 1.0)
    if look.info.pending_update_count or state.foreign:
        pause_s = TROUBLED_LOOK_S
    return state, Act(Inspect(), pause_s * (0.8 + 0.4 * jitter), may_hurry=True)


def _set_again(
    state: Registration, now: float, jitter: float, *, is_foreign: bool
) -> tuple[Registration, Decision]:
    """Return the state before a registration, paced, and later each time somebody else undoes it."""
    # Should its answer never be seen, the next look must not take it for undone.
    record = Record("", state.record.facts, state.record.asked_for)
    state = replace(state, record=record, is_setting=True)
    pause_s = 0.0 if state.called_at is None else max(state.called_at + PACE_S - now, 0.0)
    if is_foreign:
        state = _shown(replace(state, foreign=state.foreign + 1, foreign_at=now))
        pause_s = max(pause_s, wait_s(state.foreign, jitter, LONGEST_CONFLICT_WAIT_S))
    return state, Act(Register(), pause_s)


def _shown(state: Registration) -> Registration:
    """Return the state of a webhook that is set: fine, unless somebody else keeps setting another."""
    if state.foreign > 1:
        return replace(state, ingress=IngressState.CONFLICT, detail=_FOREIGN)
    return replace(state, ingress=IngressState.OK, detail="")


def _needs_healing(state: Registration, look: Inspected, now: float) -> bool:
    """Return whether Telegram seems to send a wrong secret, as after somebody else's setWebhook."""
    is_due = state.set_at is None or now - state.set_at >= HEAL_AFTER_S
    is_refused = look.is_refused and is_refused_by_us(look.info) and look.info.pending_update_count > 0
    return is_due and is_refused
