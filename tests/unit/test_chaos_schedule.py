"""A chaos run's schedule is its seed's."""

import pytest

from benchmarks.schedule import draw_up

WEIGHTS = {"often": 5, "seldom": 1, "never again": 0}


def test_the_same_seed_is_the_same_schedule():
    assert draw_up(7, 60.0, 50, WEIGHTS) == draw_up(7, 60.0, 50, WEIGHTS)
    assert draw_up(7, 60.0, 50, WEIGHTS) != draw_up(8, 60.0, 50, WEIGHTS)


@pytest.mark.parametrize("seconds", [0.5, 60.0])
@pytest.mark.parametrize("seed", range(20))
def test_every_kind_has_its_turn_in_time(seed: int, seconds: float):
    schedule = draw_up(seed, seconds, 4, WEIGHTS)
    assert {blow.kind for blow in schedule} == set(WEIGHTS)
    moments = [blow.at_s for blow in schedule]
    assert moments == sorted(moments)
    assert 0 < moments[0] <= moments[-1] <= seconds
    assert {blow.bot for blow in schedule} <= set(range(4))


def test_weights_are_how_often_a_kind_comes():
    kinds = [blow.kind for blow in draw_up(7, 600.0, 4, WEIGHTS)]
    assert kinds.count("never again") == 1
    assert kinds.count("often") > 2 * kinds.count("seldom")
