"""How often something may be done, and whose turn it is when more want to.

``take`` says what the script in ``jobs/engine/rate_limiter.py`` does on the server, number for number; a test
compares the two. All times are whole milliseconds of one clock, the server's.

A window slides in ``PARTS`` steps: what was done is counted by part, and a window is the current part with
the ``PARTS`` before it. So no stretch of a window's length, wherever it begins, holds more than its limit;
the price is that after a full burst the next call waits one part longer than the window is long.

Callers who have to wait stand in one of two lines. Whoever is new goes to the end of the line, also when
there is room at this moment: it belongs to those who were told to come now. Who came as told and found no
room after all, or is in the middle of its work, is ahead of that line, in a line of its own. A turn is
promised where the windows have room beside all earlier promises, and never two at one moment.

Pure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

#: Steps in which a window slides.
PARTS = 60
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``limit`` calls in any ``length_ms``, a multiple of ``PARTS``."""

    limit: int
    length_ms: int

    @property
    def part_ms(self) -> int:
        """The length of one part."""
        return self.length_ms // PARTS

    @property
    def spacing_ms(self) -> int:
        """The time between two turns that the window can keep up for ever, with one part to be late in."""
        return math.ceil((self.length_ms + 2 * self.part_ms) / self.limit)


@dataclass(frozen=True, slots=True)
class Rates:
    """How many calls one key has in any minute, hour and day; each is at least 1.

    Raises:
        ValueError: one is not.
    """

    per_minute: int = 100
    per_hour: int = 5000
    per_day: int = 100_000

    def __post_init__(self) -> None:
        for name in ("per_minute", "per_hour", "per_day"):
            if getattr(self, name) < 1:
                raise ValueError(f"rates: {name} is {getattr(self, name)}; write 1 or more")

    @property
    def windows(self) -> tuple[Window, ...]:
        """The same as windows, the shortest first."""
        return (
            Window(self.per_minute, _MINUTE_MS),
            Window(self.per_hour, _HOUR_MS),
            Window(self.per_day, _DAY_MS),
        )


#: Calls by part, for each window.
Counts = tuple[Mapping[int, int], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """Turns that were promised.

    Args:
        last_ms: the latest of them; the line is empty once that is past.
        counts: the promises, and what was done before the first.
    """

    last_ms: int = 0
    counts: Counts = ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that is kept of one key.

    Args:
        now_ms: when it was looked at last.
        came_ms: when somebody came who is ahead of the line, or the first line began.
        done: the calls.
        ahead, new: the two lines.
    """

    now_ms: int = 0
    came_ms: int = 0
    done: Counts = ()
    ahead: Line = field(default_factory=Line)
    new: Line = field(default_factory=Line)


def take(windows: Sequence[Window], ledger: Ledger, now_ms: int, ahead: bool) -> tuple[Ledger, int]:
    """Take a call if there is room for it.

    Args:
        windows: the shortest first.
        ledger: what is known of the key.
        now_ms: the server's clock. Set back, it stands still until it has caught up; set back by more than
            the shortest window, everything is forgotten.
        ahead: the caller came as told, or is in the middle of its work.

    Returns:
        The ledger from now on, and 0 if the call was taken, else for how long to wait, in milliseconds.
    """
    if ledger.now_ms > now_ms + windows[0].length_ms:
        ledger = Ledger()
    now_ms = max(now_ms, ledger.now_ms)
    done = ledger.done or tuple({} for _ in windows)
    ledger = replace(ledger, now_ms=now_ms, done=done)
    # There was room all the time and nobody came for it: those in line have died or been removed.
    since_ms = now_ms - 2 * windows[0].length_ms
    if ledger.came_ms < since_ms and _wait_ms(windows, done, since_ms) == 0:
        ledger = replace(ledger, ahead=Line(), new=Line())
    last_ms = max(ledger.ahead.last_ms, ledger.new.last_ms)
    if ahead or last_ms <= now_ms:
        ledger = replace(ledger, came_ms=now_ms)
    wait_ms = _wait_ms(windows, done, now_ms)
    if wait_ms == 0 and (ahead or last_ms <= now_ms):
        return replace(ledger, done=_count(windows, done, now_ms)), 0
    line = ledger.ahead if ahead else ledger.new
    counts = line.counts if line.last_ms > now_ms else done
    behind_ms = ledger.ahead.last_ms if ahead else last_ms
    turn_ms = max(now_ms + wait_ms, behind_ms + min(window.spacing_ms for window in windows))
    turn_ms += _wait_ms(windows, counts, turn_ms)
    line = Line(turn_ms, _count(windows, counts, turn_ms))
    ledger = replace(ledger, ahead=line) if ahead else replace(ledger, new=line)
    return ledger, turn_ms - now_ms


def _wait_ms(windows: Sequence[Window], counts: Counts, at_ms: int) -> int:
    """Return how long after ``at_ms`` every window has room."""
    wait_ms = 0
    for window, parts in zip(windows, counts, strict=True):
        oldest = at_ms // window.part_ms - PARTS
        used = sum(count for part, count in parts.items() if part >= oldest)
        for part in sorted(parts):
            if used < window.limit:
                break
            if part >= oldest:
                used -= parts[part]
                wait_ms = max(wait_ms, (part + PARTS + 1) * window.part_ms - at_ms)
    return wait_ms


def _count(windows: Sequence[Window], counts: Counts, at_ms: int) -> Counts:
    """Return ``counts`` with one call more, without parts that no window sees any more."""
    counted = []
    for window, parts in zip(windows, counts, strict=True):
        now = at_ms // window.part_ms
        kept = {part: count for part, count in parts.items() if part >= now - PARTS}
        counted.append(kept | {now: kept.get(now, 0) + 1})
    return tuple(counted)
