"""Who must wait for room, and what the operator is told to change."""

from dataclasses import replace

import pytest

from supervisor.fleet.policy.capacity import Capacity, decide_refusal

SMALL = Capacity(max_workers=10, max_workers_per_core=4, cores=2, min_free_memory=0.05)


@pytest.mark.parametrize(
    ("capacity", "processes", "free_memory", "refusal"),
    [
        (SMALL, 7, 0.5, None),
        (SMALL, 8, 0.5, "8 bots run, which is limits.max_workers_per_core (4) on 2 cores"),
        (replace(SMALL, max_workers=8), 8, 0.5, "8 bots run, which is limits.max_workers"),
        (replace(SMALL, max_workers=3), 3, 0.5, "3 bots run, which is limits.max_workers"),
        (SMALL, 0, 0.05, None),
        (SMALL, 0, 0.049, "4.9% of the memory is free, less than limits.min_free_memory (5%)"),
    ],
)
def test_room(capacity, processes, free_memory, refusal):
    assert decide_refusal(capacity, processes, free_memory) == refusal
