"""When a webhook is asked again to take an update it did not take.

The rules are those of Telegram's open server (``WebhookActor::on_update_error``).
"""

from dataclasses import dataclass
from math import floor

#: The longest pause is a number of seconds between this and twice as much, drawn anew each time.
LONGEST_PAUSE_S = 60
#: What a ``Retry-After`` header can ask for at most, in seconds.
MAX_RETRY_AFTER_S = 3600
#: After so many seconds of nothing but 410 Gone the webhook is deleted.
GONE_S = 23 * 3600.0


@dataclass(frozen=True, slots=True)
class Failures:
    """How often an update failed, and the pause in seconds that the next one doubles."""

    count: int = 0
    pause_s: int = 1


def decide_pause(failures: Failures, retry_after_s: int, chance: float) -> tuple[Failures, int]:
    """Return what an update's failures are after one more, and the seconds until it is sent again.

    The first failure costs no pause, the next ones 2, 4, 8, 16 and 32 s, all later ones 60 to 120 s.

    Args:
        retry_after_s: what the webhook asked for, 0 if nothing; it takes the place of the pause.
        chance: a random number in [0, 1).
    """
    retry_after_s = min(max(retry_after_s, 0), MAX_RETRY_AFTER_S)
    if retry_after_s or not failures.count:
        return Failures(failures.count + 1, failures.pause_s), retry_after_s
    longest_s = LONGEST_PAUSE_S + floor(chance * (LONGEST_PAUSE_S + 1))
    pause_s = min(longest_s, failures.pause_s * 2)
    return Failures(failures.count + 1, pause_s), pause_s
