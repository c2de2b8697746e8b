"""Decides when a bot falls back from its webhook to polling, and when the webhook is tried again.

Pure. Two thresholds keep it from flapping: a failure must last before the bot falls back, and the wait before
the next try doubles with each try that fails.
"""

from dataclasses import dataclass, replace

#: Longest wait before the webhook is tried again, unless ``webhook.return_after`` is longer, in seconds.
LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Patience:
    """``webhook.switch_after`` and ``webhook.return_after``, in seconds."""

    switch_after_s: float
    return_after_s: float


@dataclass(frozen=True, slots=True)
class Switching:
    """Where a bot with a webhook stands. All ``_at`` and ``_since`` are monotonic seconds.

    ``return_at``: it polls until then; None: its webhook is in use. ``failing_since``: Telegram has failed
    to get through since. ``tried_at``: when the webhook was tried again. ``wait_s`` is the last wait.
    ``switches`` counts changes, both ways.
    """

    return_at: float | None = None
    failing_since: float | None = None
    tried_at: float | None = None
    wait_s: float = 0.0
    switches: int = 0

    @property
    def is_polling(self) -> bool:
        """Whether it has fallen back."""
        return self.return_at is not None


def after_look(state: Switching, *, is_failing: bool, now: float, patience: Patience) -> Switching:
    """Return the state after Telegram said how deliveries go; ``is_polling`` then: fall back.

    Args:
        state: of a bot whose webhook is in use.
        is_failing: Telegram fails to get through.
        now: monotonic seconds.
        patience: how long to wait for what.
    """
    if not is_failing:
        calm = replace(state, failing_since=None)
        is_stable = state.tried_at is not None and now - state.tried_at >= patience.return_after_s
        return replace(calm, tried_at=None, wait_s=0.0) if is_stable else calm
    since = now if state.failing_since is None else state.failing_since
    if now - since < patience.switch_after_s:
        return replace(state, failing_since=since)
    wait_s = patience.return_after_s
    if state.tried_at is not None:
        wait_s = max(wait_s, min(2 * state.wait_s, LONGEST_WAIT_S))
    return Switching(return_at=now + wait_s, wait_s=wait_s, switches=state.switches + 1)


def after_wait(state: Switching, now: float) -> Switching:
    """Return the state of a bot whose webhook is tried again."""
    return Switching(tried_at=now, wait_s=state.wait_s, switches=state.switches + 1)
