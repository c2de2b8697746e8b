"""Idle bots are asked at their time, again if they stay awake, and sooner where others wait for room."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from brama.config.settings import BotSettings
from brama.ids import BotId, TelegramId
from brama.messages import Sleep
from supervisor.fleet.member import Member
from supervisor.fleet.naps import PRESSED_S, Naps
from supervisor.fleet.policy.events import Event, LimitsChanged, ReadyReceived, SleepAgreed, SleepRefused
from supervisor.fleet.policy.idleness import LATEST_AGAIN_S, PRESSED_AGAIN_S
from supervisor.fleet.policy.lifecycle import step
from supervisor.fleet.policy.model import Limits, Phase, Worker
from supervisor.fleet.ports import Delivery
from supervisor.fleet.worker_handle import WorkerHandle

HOUR_S = 3600.0


@dataclass
class Timer:
    due_at: float
    call: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class Stage:
    """A clock, timers, a router and processes that a test moves by hand."""

    now: float = 1000.0
    waiting: int = 0
    idle: dict[BotId, float | None] = field(default_factory=dict)
    asked: list[tuple[str, bool]] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.naps = Naps(cast(Any, self), cast(Delivery, self), lambda: self.waiting, lambda: self.now)

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: Any) -> Timer:
        self.timers.append(Timer(self.now + delay_s, lambda: callback(*args)))
        return self.timers[-1]

    def idle_since(self, bot_id: BotId) -> float | None:
        return self.idle[bot_id]

    def pass_time(self, seconds: float) -> None:
        """Let timers go off, each at its time."""
        end = self.now + seconds
        while due := [each for each in self.timers if not each.is_cancelled and each.due_at <= end]:
            first = min(due, key=lambda timer: timer.due_at)
            self.timers.remove(first)
            self.now = max(self.now, first.due_at)
            first.call()
        self.now = end

    def run(self, name: str, timeout_s: float | None = HOUR_S, *, unsafe: bool = False) -> Member:
        """Have a bot become ready, with nothing to do."""
        settings = BotSettings(
            id=BotId(name),
            token=SecretStr(""),
            telegram_id=TelegramId(1),
            cwd=Path("/"),
            idle_unsafe=unsafe,
        )
        member = Member(settings, Limits(idle_timeout_s=timeout_s), Worker(phase=Phase.BOOT))

        def send(messages: Sequence[object]) -> None:
            self.asked += [(name, message.unsafe) for message in messages if isinstance(message, Sleep)]

        member.handle = cast(WorkerHandle, type("Handle", (), {"send": staticmethod(send)})())
        self.idle[BotId(name)] = self.now
        self.tell(member, ReadyReceived())
        return member

    def tell(self, member: Member, event: Event) -> None:
        before = member.worker
        member.worker, _ = step(before, event, self.now, member.limits)
        self.naps.note(member, event, before.phase)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_it_is_asked_when_it_has_been_idle_for_its_time(stage: Stage):
    stage.run("shop", unsafe=True)
    stage.run("never", None)
    stage.pass_time(HOUR_S - 1.0)
    assert stage.asked == []
    stage.pass_time(1.0)
    assert stage.asked == [("shop", True)]
    stage.pass_time(10 * HOUR_S)
    assert len(stage.asked) == 1, "who has not answered is not asked again"


def test_what_happened_meanwhile_counts(stage: Stage):
    stage.run("shop")
    stage.idle[BotId("shop")] = stage.now + 600.0
    stage.pass_time(HOUR_S + 599.0)
    assert stage.asked == []
    stage.pass_time(1.0)
    assert stage.asked == [("shop", False)]


def test_one_that_stays_awake_is_asked_again_within_minutes(stage: Stage):
    member = stage.run("shop")
    stage.pass_time(HOUR_S)
    stage.tell(member, SleepRefused("2 jobs are scheduled"))
    stage.pass_time(LATEST_AGAIN_S - 1.0)
    assert len(stage.asked) == 1
    stage.pass_time(1.0)
    assert len(stage.asked) == 2


def test_one_that_falls_asleep_is_not_asked_again(stage: Stage):
    member = stage.run("shop")
    stage.pass_time(HOUR_S)
    stage.tell(member, SleepAgreed())
    stage.pass_time(10 * HOUR_S)
    assert len(stage.asked) == 1


def test_a_changed_timeout_counts_at_once(stage: Stage):
    member = stage.run("shop")
    member.limits = Limits(idle_timeout_s=60.0)
    stage.tell(member, LimitsChanged())
    stage.pass_time(60.0)
    assert len(stage.asked) == 1
    other = stage.run("news")
    other.limits = Limits()
    stage.tell(other, LimitsChanged())
    stage.pass_time(10 * HOUR_S)
    assert len(stage.asked) == 1


def test_where_others_wait_the_longest_idle_is_asked_for_its_place(stage: Stage):
    stage.run("never", None)
    first = stage.run("first")
    stage.pass_time(1.0)
    stage.run("second")
    busy = stage.run("busy")
    stage.idle[busy.settings.id] = None
    stage.waiting = 1
    waiter = Member(first.settings, Limits(), Worker(phase=Phase.CAPACITY))
    stage.naps.note(waiter, ReadyReceived(), Phase.SPAWN)
    stage.pass_time(PRESSED_S)
    assert stage.asked == [("first", False)]
    stage.pass_time(1.0)
    assert len(stage.asked) == 1, "one place is enough"
    stage.tell(first, SleepRefused("2 jobs are scheduled"))
    stage.pass_time(PRESSED_S)
    assert stage.asked[1:] == [("second", False)]
    stage.waiting = 2
    stage.pass_time(PRESSED_AGAIN_S)
    assert stage.asked[2:] == [("first", False)]


def test_a_master_that_ends_asks_nobody(stage: Stage):
    stage.run("shop")
    stage.naps.stop()
    stage.pass_time(10 * HOUR_S)
    assert stage.asked == []
