"""Decides whether a request may bring an update, before anything of its body is read.

Pure. The same work is done for every request, whatever is wrong with it: how long it takes shows neither
which bots exist nor how much of a secret was right.
"""

import hmac
from collections.abc import Sequence

from webhook.policy.outcomes import Outcome

#: Compared with what strangers send; no header can be equal to it.
_NOBODYS_SECRET = "\n" * 43


def decide_admission(expected: str | None, given: Sequence[str], *, is_shut_out: bool) -> Outcome | None:
    """Return why a request is refused, None if it may go on.

    Args:
        expected: the bot's secret, None if there is no such bot. An empty one is never right.
        given: the values of all secret headers, in order; exactly one is right.
        is_shut_out: its sender's address may not deliver.
    """
    sent = given[0] if len(given) == 1 else ""
    # The second argument's length decides how long this takes, and it is the sender's own.
    is_right = hmac.compare_digest(
        (expected or _NOBODYS_SECRET).encode(), sent.encode("utf-8", "surrogateescape")
    )
    if expected is None:
        return Outcome.UNKNOWN_BOT
    if is_shut_out:
        return Outcome.NETWORK
    return None if is_right else Outcome.SECRET
