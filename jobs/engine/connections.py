"""The two kinds of clients: one that answers at once, one that waits.

Runs in: master | job worker.
"""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,  # noqa: A004 - redis-py's own, which is not the built-in one
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004
)

from jobs.engine.script_client import ScriptClient
from jobs.policy.limits import LONGEST_WAIT_S

#: Within this time a producer knows whether its job is stored, or keeps it in the outbox.
CONNECT_S = 1.0
ANSWER_S = 2.0
#: Pauses of a worker's client between tries of one command: about 7 s in all, less than a lock lasts.
_WAITS = ExponentialBackoff(cap=1.0, base=0.05)
_TRIES = 10

_AWAY = (ConnectionError, TimeoutError, OutOfMemoryError, ReadOnlyError, MasterDownError, OSError)
#: How answers begin that say "not now" and for which redis-py has no class: a disk that cannot be written,
#: too few replicas, somebody's endless script.
_NOT_NOW = ("MISCONF", "NOREPLICAS", "BUSY ")


def producer_client(url: str) -> Redis:
    """Return a client that fails fast: no second try, and seconds at most until it knows."""
    return ScriptClient.from_url(
        url,
        decode_responses=True,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_S,
        socket_timeout=ANSWER_S,
    )


def worker_client(url: str) -> Redis:
    """Return a client that outlasts a restart of the server.

    It waits for an answer longer than the longest blocking wait: the 5 s that redis-py has from version 8 on
    cut such a wait off, and delayed jobs hang.
    """
    return ScriptClient.from_url(
        url,
        decode_responses=True,
        protocol=2,
        retry=Retry(_WAITS, _TRIES),
        retry_on_error=[BusyLoadingError, ConnectionError, TimeoutError],
        socket_connect_timeout=ANSWER_S,
        socket_timeout=LONGEST_WAIT_S + 5.0,
    )


def is_unavailable(error: BaseException) -> bool:
    """Return whether ``error`` means that the server is away or full, and not that the command was wrong."""
    return isinstance(error, _AWAY) or (isinstance(error, ResponseError) and str(error).startswith(_NOT_NOW))
