"""The JSON document of ``GET /webhook/stats``.

Fields are only ever added. Counts are of this master, from its start.

Runs in: master.
"""

import msgspec


class CommitStats(msgspec.Struct, frozen=True):
    """How long updates of the last 5 to 10 minutes took from their last byte to a durable row.

    ``p50_ms`` and ``p99_ms`` are at most a fifth above the true value, never below. All are 0 if ``count``
    is.
    """

    count: int
    mean_ms: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class BotStats(msgspec.Struct, frozen=True):
    """One bot.

    ``refused`` has the reasons that occurred: those of ``webhook.policy.outcomes.Outcome``.
    ``last_update_age_ms`` is the time since an update was accepted or known already, None before the first.
    """

    accepted: int
    duplicates: int
    refused: dict[str, int]
    last_update_age_ms: int | None
    commit: CommitStats


class ServerStats(msgspec.Struct, frozen=True):
    """The whole server.

    ``refused`` covers bots, unknown ones, and requests that were for no bot. ``connections`` are open now,
    ``serving`` are requests with the right secret that wait for their answer.
    """

    accepted: int
    duplicates: int
    refused: dict[str, int]
    connections: int
    serving: int
    draining: bool
    commit: CommitStats
    bots: dict[str, BotStats]


_encoder = msgspec.json.Encoder()


def encode_stats(stats: ServerStats) -> bytes:
    """Return the JSON document."""
    return _encoder.encode(stats)
