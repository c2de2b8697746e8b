"""Boots go through the gate a few at a time, in order, and none holds the others up for long."""

from collections.abc import Callable
from typing import Any

import pytest

from brama.ids import BotId, Generation
from supervisor.fleet.gate import BOOTS_PER_CORE, PLACE_S, Gate


class Timer:
    def __init__(self, due_s: float, call: Callable[[], None]) -> None:
        self.due_s, self.call, self.cancelled = due_s, call, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """Timers that go off when told to."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: Any) -> Timer:
        self.timers.append(Timer(delay_s, lambda: callback(*args)))
        return self.timers[-1]


@pytest.fixture
def stage():
    loop, admitted = Loop(), list[str]()
    gate = Gate(loop, BOOTS_PER_CORE, lambda bot, generation: admitted.append(f"{bot}/{generation}"))  # type: ignore[arg-type]
    return gate, loop, admitted


def enter(gate: Gate, *numbers: int) -> None:
    for number in numbers:
        gate.enter(BotId(f"bot{number}"), Generation(1))


def test_all_pass_while_there_are_places(stage):
    gate, _, admitted = stage
    enter(gate, *range(BOOTS_PER_CORE))
    assert len(admitted) == BOOTS_PER_CORE


def test_the_next_in_line_passes_when_one_leaves(stage):
    gate, _, admitted = stage
    enter(gate, *range(BOOTS_PER_CORE + 2))
    assert gate.is_waiting(BotId(f"bot{BOOTS_PER_CORE}"))
    gate.leave(BotId("bot3"))
    gate.leave(BotId("bot3"))
    assert admitted[BOOTS_PER_CORE:] == [f"bot{BOOTS_PER_CORE}/1"]
    assert gate.is_waiting(BotId(f"bot{BOOTS_PER_CORE + 1}"))


def test_a_boot_that_takes_long_gives_its_place_up(stage):
    gate, loop, admitted = stage
    enter(gate, *range(BOOTS_PER_CORE + 1))
    assert loop.timers[0].due_s == PLACE_S
    loop.timers[0].call()
    assert len(admitted) == BOOTS_PER_CORE + 1


def test_one_that_withdraws_is_not_admitted(stage):
    gate, _, admitted = stage
    enter(gate, *range(BOOTS_PER_CORE + 1))
    assert gate.withdraw(BotId(f"bot{BOOTS_PER_CORE}"))
    assert not gate.withdraw(BotId("bot0")), "its turn has come already"
    gate.leave(BotId("bot0"))
    assert len(admitted) == BOOTS_PER_CORE
