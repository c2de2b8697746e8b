"""Decides what a poller does next.

Pure: after each outcome, the next call and the wait before it. No offset is sent on the first poll, one past
the last committed update while updates come, and none again after an empty answer: ids may restart anywhere
after a quiet week, and an offset above them would hide what is new.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from supervisor.updates.ingress import IngressState
from supervisor.updates.model import Backlog
from supervisor.updates.policy.backoff import wait_s

#: Telegram's largest batch.
MAX_LIMIT = 100
#: Longest wait between two tries against another poller, in seconds.
LONGEST_CONFLICT_WAIT_S = 60.0
#: A conflict is over when polling went undisturbed for this long: two fighting pollers both succeed at times.
CALM_S = 10.0
#: Share of the long poll's timeout while a conflict may go on; with 50 s it is more than CALM_S.
CONFLICT_PATIENCE = 0.3
#: Between two looks at a full backlog, in seconds.
RECHECK_S = 2.0
#: Polling resumes when the backlog is down to this share of its bounds.
RESUME_SHARE = 0.9
#: Longest wait before a step past updates that have no update_id, in seconds.
LONGEST_STEP_WAIT_S = 4.0
#: How long ids surely go on from the last committed one, in seconds: they restart after a week without
#: updates, and an update may have waited at Telegram for a day.
SEQUENCE_S = 5 * 86_400.0
#: Longest pause that is believed, in seconds.
MAX_PAUSE_S = 86_400.0

_CONFLICT = (
    "another process fetches updates with this bot's token; stop it, or give this bot a token of its own"
)
_WEBHOOK = "somebody keeps setting a webhook for this bot, which ends polling; it is deleted each time"


@dataclass(frozen=True, slots=True)
class Identify:
    """getMe"""


@dataclass(frozen=True, slots=True)
class ClearWebhook:
    """deleteWebhook, keeping what waits at Telegram."""


@dataclass(frozen=True, slots=True)
class GetUpdates:
    """getUpdates; ``patience`` is the share of the long poll's timeout to wait for updates, 0 to 1."""

    offset: int | None
    limit: int
    patience: float


Call = Identify | ClearWebhook | GetUpdates


@dataclass(frozen=True, slots=True)
class Act:
    """Make ``call`` after ``wait_s`` seconds."""

    call: Call
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask nothing more."""


@dataclass(frozen=True, slots=True)
class Identified:
    """getMe answered."""


@dataclass(frozen=True, slots=True)
class WebhookCleared:
    """deleteWebhook answered."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A batch is durable; ``last_update_id`` is None for the empty one."""

    last_update_id: int | None


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A batch cannot be taken apart, or took too long to read; a smaller one may do."""

    detail: str


@dataclass(frozen=True, slots=True)
class NotCommitted:
    """Updates came and could not be written."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unidentified:
    """A batch of which no update_id can be told; it is durable, and holds at least ``count`` updates."""

    count: int


@dataclass(frozen=True, slots=True)
class Conflicted:
    """409; ``by_webhook`` tells its two kinds apart."""

    by_webhook: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """401 or 404, the one it was in ``status``, and Telegram's word for it."""

    status: int
    description: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429; the pause that Telegram asks for in seconds, None if it names none."""

    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, or none of the Bot API. ``is_stray``: as any idle connection may end now and then."""

    detail: str
    is_stray: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """A poll is about to be made, which Telegram may hold open for long."""


@dataclass(frozen=True, slots=True)
class Held:
    """The start gate makes this bot wait."""


@dataclass(frozen=True, slots=True)
class Full:
    """The backlog is at its bound."""

    detail: str


@dataclass(frozen=True, slots=True)
class Drained:
    """The backlog is below its bound again."""


Success = Identified | WebhookCleared | Committed
Trouble = Undecodable | NotCommitted | Unidentified | Conflicted | Rejected | Throttled | Failed
Outcome = Success | Trouble | Begun | Held | Full | Drained


@dataclass(frozen=True, slots=True)
class Polling:
    """Where one bot's intake stands.

    ``is_known``: Telegram has answered a call of this token with anything but 429. ``is_settled``: nothing
    failed since the last whole answer, so the next poll may be a long one. ``failures`` and ``conflicts``
    count those in a row; ``calm_from`` is when the last conflict's wait ended, in monotonic seconds.
    ``floor`` is one past the last committed update, kept when no offset is sent; ``floor_at`` is when it
    was set.
    """

    ingress: IngressState = IngressState.OFF
    detail: str = ""
    is_identified: bool = False
    is_webhook_cleared: bool = False
    is_known: bool = False
    is_settled: bool = True
    offset: int | None = None
    floor: int | None = None
    floor_at: float = 0.0
    limit: int = MAX_LIMIT
    failures: int = 0
    conflicts: int = 0
    calm_from: float = 0.0


Decision = Act | Stop


def next_call(state: Polling, jitter: float) -> Call:
    """Return the call that is due in ``state``.

    Long polls are shortened a little at random, so that those of a fleet do not end together. The first after
    an outage is not held open, so that its end is seen; those after a conflict are short for the same reason.
    """
    if not state.is_identified:
        return Identify()
    if not state.is_webhook_cleared:
        return ClearWebhook()
    patience = 1.0 - jitter / 5
    if state.conflicts:
        patience = CONFLICT_PATIENCE
    elif not state.is_settled:
        patience = 0.0
    return GetUpdates(state.offset, state.limit, patience)


def after(outcome: Outcome, state: Polling, now: float, jitter: float) -> tuple[Polling, Decision]:
    """Return the new state and what to do.

    Args:
        outcome: what the last call, or the look at gate and backlog, came to.
        state: before it.
        now: monotonic seconds.
        jitter: 0 up to 1, drawn anew.
    """
    pause_s = 0.0
    match outcome:
        case Identified():
            state = _succeeded(replace(state, is_identified=True), now)
        case WebhookCleared():
            state = _succeeded(replace(state, is_webhook_cleared=True), now)
        case Committed(last_update_id):
            offset = last_update_id + 1 if last_update_id is not None else None
            if offset is not None:
                state = replace(state, floor=offset, floor_at=now)
            limit = min(MAX_LIMIT, state.limit * 2)
            state = _succeeded(replace(state, offset=offset, limit=limit), now)
        case Undecodable(detail):
            state, pause_s = _failed(replace(state, limit=1), detail, jitter, is_shown=state.failures > 0)
        case NotCommitted(detail):
            state, pause_s = _failed(state, detail, jitter)
        case Unidentified(count):
            state, pause_s = _step_past(state, count, now, jitter)
        case Failed(detail, is_stray):
            state, pause_s = _failed(state, detail, jitter, is_shown=state.failures > 0 or not is_stray)
        case Conflicted(by_webhook):
            state, pause_s = _in_conflict(state, by_webhook, now, jitter)
        case Rejected(status, description):
            detail = f"Telegram rejected the token: {status} {description}"
            rejected = replace(state, ingress=IngressState.UNAUTHORIZED, detail=detail, is_known=True)
            return rejected, Stop()
        case Throttled(retry_after_s):
            state, pause_s = _throttled(state, retry_after_s, jitter)
        case Begun():
            state = _fine(state) if state.ingress is IngressState.OFF else state
        case Held():
            detail = "waits its turn: Telegram admits 20 new bots a minute"
            state = replace(state, ingress=IngressState.PACED, detail=detail)
        case Full(detail):
            state = replace(state, ingress=IngressState.FULL, detail=detail)
            pause_s = RECHECK_S * (0.5 + jitter)
        case Drained():
            state = replace(state, ingress=IngressState.OK, detail="")
        case _:
            assert_never(outcome)
    return state, Act(next_call(state, jitter), pause_s)


def describe_full(backlog: Backlog) -> str:
    """Return what an operator reads of a backlog that is full."""
    waiting = f"{backlog.rows} updates of {backlog.size_bytes} bytes wait"
    return f"{waiting}; the bounds are delivery.max_backlog and max_backlog_size"


def is_full(backlog: Backlog, max_rows: int, max_bytes: int, *, was_full: bool) -> bool:
    """Return whether no more may be fetched; once full, until it is down to RESUME_SHARE of both bounds."""
    share = RESUME_SHARE if was_full else 1.0
    return backlog.rows >= max_rows * share or backlog.size_bytes >= max_bytes * share


def _succeeded(state: Polling, now: float) -> Polling:
    state = replace(state, is_known=True, is_settled=True, failures=0)
    if state.conflicts:
        if now < state.calm_from + CALM_S:
            return state if state.ingress is IngressState.CONFLICT else _fine(state)
        state = replace(state, conflicts=0)
    return _fine(state)


def _fine(state: Polling) -> Polling:
    return replace(state, ingress=IngressState.OK, detail="")


def _failed(state: Polling, detail: str, jitter: float, *, is_shown: bool = True) -> tuple[Polling, float]:
    """Return the state after one more failure in a row, and the wait."""
    failures = state.failures + 1
    state = replace(state, failures=failures, is_settled=False)
    if is_shown:
        state = replace(state, ingress=IngressState.OUTAGE, detail=detail)
    return state, wait_s(failures, jitter)


def _step_past(state: Polling, count: int, now: float, jitter: float) -> tuple[Polling, float]:
    """Return the state after ``count`` durable updates without an update_id, and the wait.

    All that waits has ids from the offset on, each its own and ascending, so what stands behind the first
    ``count`` has ids from ``offset + count`` on: that offset passes none of it, whatever gaps there are.
    Without an offset the floor comes first, below which everything is durable. Where no id is known there is
    no way that could not lose updates (a negative offset forgets what it skips), so one behind must come.
    """
    offset = state.offset + count if state.offset is not None else None
    if offset is None and state.floor is not None and now < state.floor_at + SEQUENCE_S:
        offset = state.floor
    none = f"{count} or more updates have no update_id"
    if offset is None:
        detail = f"{none} and no earlier id is known, so none can be confirmed; a later update with an id can"
        return _failed(replace(state, limit=MAX_LIMIT), detail, jitter)
    state = replace(state, offset=offset, limit=min(MAX_LIMIT, state.limit * 2))
    shown = state.failures > 1
    state, _ = _failed(state, f"{none}; they are kept as dead letters and passed", jitter, is_shown=shown)
    return state, wait_s(state.failures, jitter, LONGEST_STEP_WAIT_S)


def _in_conflict(state: Polling, by_webhook: bool, now: float, jitter: float) -> tuple[Polling, float]:
    """Return the state after a 409, and the wait.

    The first one is tried again at once and not spoken of: a killed process's half-open poll costs one.
    """
    conflicts = state.conflicts + 1
    pause_s = wait_s(max(1, conflicts - 1), jitter, LONGEST_CONFLICT_WAIT_S)
    cleared = state.is_webhook_cleared and not by_webhook
    state = replace(
        state,
        conflicts=conflicts,
        calm_from=now + pause_s,
        is_webhook_cleared=cleared,
        is_known=True,
        is_settled=True,
        failures=0,
    )
    if conflicts > 1:
        detail = _WEBHOOK if by_webhook else _CONFLICT
        state = replace(state, ingress=IngressState.CONFLICT, detail=detail)
    return state, pause_s


def _throttled(state: Polling, retry_after_s: float | None, jitter: float) -> tuple[Polling, float]:
    """Return the state after a 429, and the wait; the start gate holds a token that is not known."""
    failures = state.failures
    if retry_after_s is None:
        failures += 1
        retry_after_s = wait_s(failures, jitter)
    pause_s = min(retry_after_s, MAX_PAUSE_S)
    detail = f"Telegram asked for a pause of {pause_s:.0f} s"
    state = replace(state, ingress=IngressState.PACED, detail=detail, failures=failures)
    return state, pause_s if state.is_known else 0.0
