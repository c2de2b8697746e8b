"""Decides whether the machine has room for one more worker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the fleet may take of a machine with ``cores`` cores; ``min_free_memory`` is a share, 0 to 1."""

    max_workers: int
    max_workers_per_core: int
    cores: int
    min_free_memory: float

    @property
    def ceiling(self) -> int:
        """The most processes at a time."""
        return min(self.max_workers, self.cores * self.max_workers_per_core)


def decide_refusal(capacity: Capacity, processes: int, free_memory: float) -> str | None:
    """Return why one more worker must wait, naming the key to change; None: it may start.

    Args:
        capacity: the limits.
        processes: workers that exist or are being forked.
        free_memory: share of the machine's memory that is available, 0 to 1.
    """
    if processes >= capacity.ceiling:
        if capacity.max_workers <= capacity.cores * capacity.max_workers_per_core:
            return f"{processes} bots run, which is limits.max_workers"
        return (
            f"{processes} bots run, which is limits.max_workers_per_core ({capacity.max_workers_per_core}) "
            f"on {capacity.cores} cores"
        )
    if free_memory < capacity.min_free_memory:
        return (
            f"{free_memory:.1%} of the memory is free, less than limits.min_free_memory "
            f"({capacity.min_free_memory:.0%})"
        )
    return None
