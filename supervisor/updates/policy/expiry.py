"""Decides whether an update is too old to be worth processing.

Pure. Ages are of wall time, since an update may have waited through a reboot.
"""

from collections.abc import Mapping

from supervisor.updates.model import Row


def is_expired(row: Row, now_utc: float, max_age_s: Mapping[str, float | None]) -> bool:
    """Return whether ``row`` is older than its kind may be (``delivery.max_update_age``; None: never).

    Args:
        row: an update about to be delivered.
        now_utc: epoch seconds; a clock that was set back makes nothing expire.
        max_age_s: seconds for each kind; a kind that is not in it never expires.
    """
    limit_s = max_age_s.get(row.kind)
    return limit_s is not None and now_utc - row.received_utc > limit_s
