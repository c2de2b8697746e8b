"""The only door to the machine's clocks.

Every interval is measured on the monotonic clock, so a wall clock that jumps neither restarts a bot
nor forgets a duplicate. Wall time is for what people and other machines read: log lines, rows kept
"for 24 hours" across a reboot, ages of Telegram's own timestamps.

Runs in: master | zygote | worker | sandbox.
"""

import time
from collections.abc import Callable

#: A source of monotonic seconds; policies never call one, shells take one as an argument.
Clock = Callable[[], float]


def monotonic_s() -> float:
    """Return seconds of the monotonic clock, comparable between processes of one boot (CLOCK_MONOTONIC)."""
    return time.monotonic()


def utc_s() -> float:
    """Return seconds since the Unix epoch."""
    return time.time()


def cpu_s() -> float:
    """Return user plus system seconds this process has consumed."""
    return time.process_time()


def read_time_zone() -> None:
    """Have local time follow the TZ variable as it is now; the C library reads it once only by itself."""
    time.tzset()
