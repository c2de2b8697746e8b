"""Counts what became of requests, for each bot and in total.

Only bots that exist get an entry: whatever strangers send is counted under one reason in the total.

Runs in: master.
"""

from collections.abc import Callable, Mapping

from webhook.policy.latency import Durations, RecentDurations
from webhook.policy.outcomes import Outcome
from webhook.stats import BotStats, CommitStats

_TAKEN = (Outcome.ACCEPTED, Outcome.DUPLICATE)
_UNAUTHORIZED = (Outcome.SECRET, Outcome.UNKNOWN_BOT)


class Tally:
    """The counts of one bot, or of all."""

    __slots__ = ("commits", "counts", "last_refused_at", "last_seen_at", "last_update_at")

    def __init__(self) -> None:
        self.counts: dict[Outcome, int] = {}
        self.commits = RecentDurations()
        #: Monotonic seconds: of a request that was let in, of one with a wrong secret, of an update taken in.
        self.last_seen_at: float | None = None
        self.last_refused_at: float | None = None
        self.last_update_at: float | None = None

    def count(self, outcome: Outcome) -> None:
        """Count one request's end."""
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    @property
    def accepted(self) -> int:
        """Updates that were new."""
        return self.counts.get(Outcome.ACCEPTED, 0)

    @property
    def duplicates(self) -> int:
        """Updates that were known already."""
        return self.counts.get(Outcome.DUPLICATE, 0)

    @property
    def refused(self) -> dict[str, int]:
        """All else, by reason."""
        return {outcome.value: count for outcome, count in self.counts.items() if outcome not in _TAKEN}


class Tallies:
    """All counts of a server."""

    def __init__(self) -> None:
        self.total = Tally()
        self._bots: dict[str, Tally] = {}
        #: Never shown: a request for an unknown bot takes as long as one for a bot that exists.
        self._nobody = Tally()

    def count(self, bot_id: str | None, outcome: Outcome, now: float) -> None:
        """Count the end of a request.

        Args:
            bot_id: a bot that exists; None: it was for none.
            outcome: how it ended.
            now: monotonic seconds.
        """
        self.total.count(outcome)
        tally = self._nobody if bot_id is None else self.of(bot_id)
        tally.count(outcome)
        if outcome in _TAKEN:
            tally.last_update_at = now
        elif outcome in _UNAUTHORIZED:
            tally.last_refused_at = now

    def note_seen(self, bot_id: str, now: float) -> None:
        """Remember that a request of the bot was let in."""
        self.of(bot_id).last_seen_at = now

    def note_commit(self, bot_id: str, duration_s: float, now: float) -> None:
        """Count how long an update of the bot took to be durable."""
        self.total.commits.note(duration_s, now)
        self.of(bot_id).commits.note(duration_s, now)

    def of(self, bot_id: str) -> Tally:
        """Return the entry of a bot that exists."""
        tally = self._bots.get(bot_id)
        if tally is None:
            tally = self._bots[bot_id] = Tally()
        return tally

    def find(self, bot_id: str) -> Tally | None:
        """Return the bot's entry, None if it has none yet."""
        return self._bots.get(bot_id)

    def forget(self, is_known: Callable[[str], bool]) -> None:
        """Drop the entries of bots that are gone; the totals keep what they were."""
        self._bots = {bot_id: tally for bot_id, tally in self._bots.items() if is_known(bot_id)}

    def bots(self, now: float) -> Mapping[str, BotStats]:
        """Return what is known of each bot."""
        return {bot_id: _bot_stats(tally, now) for bot_id, tally in sorted(self._bots.items())}


def commit_stats(durations: Durations) -> CommitStats:
    """Return ``durations`` as they are published."""
    return CommitStats(
        count=durations.count,
        mean_ms=_ms(durations.mean_s),
        p50_ms=_ms(durations.p50_s),
        p99_ms=_ms(durations.p99_s),
        max_ms=_ms(durations.max_s),
    )


def _bot_stats(tally: Tally, now: float) -> BotStats:
    age_s = None if tally.last_update_at is None else now - tally.last_update_at
    return BotStats(
        accepted=tally.accepted,
        duplicates=tally.duplicates,
        refused=tally.refused,
        last_update_age_ms=None if age_s is None else int(age_s * 1000),
        commit=commit_stats(tally.commits.summary(now)),
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
