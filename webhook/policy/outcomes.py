"""Decides what each end of a request is answered.

Pure.
"""

from dataclasses import dataclass
from enum import StrEnum

from brama.arrival import Arrival


class Outcome(StrEnum):
    """How a request ended; the words are keys of the published statistics."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    #: No bot has this id.
    UNKNOWN_BOT = "unknown_bot"
    #: The secret is missing, wrong, or there more than once.
    SECRET = "secret"
    #: From outside of Telegram's networks, or from an address that nobody vouches for.
    NETWORK = "network"
    CONTENT_TYPE = "content_type"
    CONTENT_ENCODING = "content_encoding"
    TOO_LARGE = "too_large"
    #: The body did not come in time.
    SLOW = "slow"
    #: The client left, or sent nonsense, before the body was complete.
    BROKEN_OFF = "broken_off"
    MALFORMED = "malformed"
    FULL = "full"
    UNWRITTEN = "unwritten"
    CLOSED = "closed"
    #: As many requests were being served as may be at once.
    BUSY = "busy"
    #: The master is stopping.
    DRAINING = "draining"
    #: No HTTP.
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    METHOD = "method"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    ``error`` is one line for people that repeats nothing of the request, None for a body that is empty.
    ``retry_after_s`` is when to come again. ``closes``: the connection ends with this answer.
    """

    status: int
    error: str | None = None
    retry_after_s: int | None = None
    allow: str | None = None
    closes: bool = False


#: One object for three outcomes: from outside they are the same.
UNAUTHORIZED = Reply(401, "unauthorized")

#: Never 410, at which Telegram deletes the webhook; never 500, which says nothing about when to come again.
#: Retry-After stands in for Telegram's own wait, which starts at nothing and doubles.
REPLIES: dict[Outcome, Reply] = {
    Outcome.ACCEPTED: Reply(200),
    Outcome.DUPLICATE: Reply(200),
    Outcome.UNKNOWN_BOT: UNAUTHORIZED,
    Outcome.SECRET: UNAUTHORIZED,
    Outcome.NETWORK: UNAUTHORIZED,
    Outcome.CONTENT_TYPE: Reply(415, "updates are application/json"),
    Outcome.CONTENT_ENCODING: Reply(415, "updates are not compressed"),
    # What is left of the body is not worth reading: the next request needs a connection without it.
    Outcome.TOO_LARGE: Reply(413, "the body is too large", closes=True),
    Outcome.SLOW: Reply(408, "the body did not come in time", closes=True),
    Outcome.BROKEN_OFF: Reply(400, "the body is incomplete", closes=True),
    Outcome.MALFORMED: Reply(400, "the body is no update"),
    # A backlog shrinks at the speed of the bot's handlers: by some in 10 s, hardly in less.
    Outcome.FULL: Reply(503, "too many updates wait", retry_after_s=10),
    # The inbox tries again after 0.1 s up to every 5 s.
    Outcome.UNWRITTEN: Reply(503, "the update cannot be written now", retry_after_s=5),
    # An operator has stopped the bot, and starts it when he does; a restart is over sooner than this.
    Outcome.CLOSED: Reply(503, "the bot takes no updates now", retry_after_s=30),
    # What is served takes milliseconds.
    Outcome.BUSY: Reply(503, "too many requests at once", retry_after_s=1),
    # The next master listens a second or two after this one has stopped. Its clients must find it.
    Outcome.DRAINING: Reply(503, "stopping", retry_after_s=2, closes=True),
    Outcome.BAD_REQUEST: Reply(400, "bad request", closes=True),
    Outcome.NOT_FOUND: Reply(404, "not found"),
    Outcome.METHOD: Reply(405, "method not allowed", allow="POST"),
}

_OF_ARRIVALS = {
    Arrival.ACCEPTED: Outcome.ACCEPTED,
    Arrival.DUPLICATE: Outcome.DUPLICATE,
    Arrival.MALFORMED: Outcome.MALFORMED,
    Arrival.FULL: Outcome.FULL,
    Arrival.UNWRITTEN: Outcome.UNWRITTEN,
    Arrival.CLOSED: Outcome.CLOSED,
}


def outcome_of(arrival: Arrival) -> Outcome:
    """Return how a request ends whose update met with ``arrival``."""
    return _OF_ARRIVALS[arrival]
