"""Processes of the master before are replaced a few at a time, each once, and none waits for a slow one."""

import pytest

from brama.ids import BotId, Generation
from supervisor.fleet.policy.model import Phase, Worker
from supervisor.fleet.renewal import PER_CORE, Renewal
from tests.unit.fleet.test_gate import Loop


class Stage:
    """A renewal on a machine of one core, and whom it has renewed."""

    def __init__(self, bots: int) -> None:
        self.loop = Loop()
        self.renewed: list[str] = []
        self.renewal = Renewal(self.loop, 1, self.renewed.append)  # type: ignore[arg-type]
        for number in range(bots):
            self.renewal.add(BotId(f"bot{number}"), Generation(4))

    def moved(self, number: int, phase: Phase, generation: int = 4) -> None:
        self.renewal.moved(BotId(f"bot{number}"), Worker(phase=phase, generation=generation))


@pytest.fixture
def stage() -> Stage:
    return Stage(PER_CORE + 2)


def test_nothing_happens_before_processes_can_be_forked(stage: Stage):
    assert stage.renewed == []
    assert len(stage.renewal) == PER_CORE + 2


def test_the_next_is_renewed_when_one_serves_again(stage: Stage):
    stage.renewal.begin()
    assert stage.renewed == ["bot0", "bot1"]
    stage.moved(0, Phase.DRAIN)
    stage.moved(0, Phase.SPAWN, 5)
    stage.moved(0, Phase.BOOT, 5)
    assert stage.renewed == ["bot0", "bot1"]
    stage.moved(0, Phase.SERVE, 5)
    assert stage.renewed == ["bot0", "bot1", "bot2"]
    assert len(stage.renewal) == PER_CORE + 1


@pytest.mark.parametrize("phase", [Phase.STOPPED, Phase.FATAL, Phase.COOLDOWN, Phase.CAPACITY])
def test_one_without_a_process_is_through(stage: Stage, phase: Phase):
    stage.renewal.begin()
    stage.moved(1, phase)
    assert stage.renewed == ["bot0", "bot1", "bot2"]


def test_one_that_drains_long_gives_its_place_up_and_is_still_counted(stage: Stage):
    stage.renewal.begin()
    stage.moved(0, Phase.DRAIN)
    [place, _] = stage.loop.timers
    place.call()
    assert stage.renewed == ["bot0", "bot1", "bot2"]
    assert len(stage.renewal) == PER_CORE + 2
    stage.moved(0, Phase.SERVE, 5)
    assert len(stage.renewal) == PER_CORE + 1


def test_one_that_came_to_new_code_by_itself_is_not_renewed_once_more(stage: Stage):
    """It died while it waited for its turn, and boots from the new zygote when that comes."""
    stage.renewal.begin()
    stage.moved(2, Phase.SPAWN, 5)
    stage.moved(2, Phase.BOOT, 5)
    stage.moved(0, Phase.SERVE, 5)
    assert stage.renewed == ["bot0", "bot1", "bot3"]
    assert len(stage.renewal) == PER_CORE + 1
    stage.moved(2, Phase.SERVE, 5)
    assert len(stage.renewal) == PER_CORE


def test_who_was_ended_in_the_middle_of_its_work_is_named_once(stage: Stage):
    stage.renewal.begin()
    for phase, generation in ((Phase.SPAWN, 5), (Phase.BOOT, 5), (Phase.SERVE, 5)):
        stage.renewal.moved(BotId("bot0"), Worker(phase=phase, generation=generation), unfinished=2)
    stage.moved(1, Phase.SERVE, 5)
    assert stage.renewal.cut_short == ["bot0"]


def test_stopped_it_renews_nobody_any_more(stage: Stage):
    stage.renewal.begin()
    stage.renewal.stop()
    stage.moved(0, Phase.SERVE, 5)
    for timer in stage.loop.timers:
        timer.call()
    assert stage.renewed == ["bot0", "bot1"]
    assert len(stage.renewal) == 0


def test_a_bot_that_it_knows_nothing_of_is_no_matter(stage: Stage):
    stage.renewal.begin()
    stage.moved(99, Phase.SERVE, 1)
    assert len(stage.renewal) == PER_CORE + 2
