"""What a handler raises to say how it failed, and what a producer may be told."""

from brama.errors import BramaError, StateError
from brama.errors import NotAcceptedError as NotAcceptedError


class PermanentError(Exception):
    """Trying again changes nothing: the job becomes a dead letter at once."""


class RetryableError(Exception):
    """Trying again may help; any other exception means the same.

    Args:
        message: what went wrong, one line.
        retry_after_s: how long the other side asked us to wait (its Retry-After), in seconds.
    """

    def __init__(self, message: str = "", *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineUnavailableError(BramaError):
    """The queue's server cannot be reached, does not answer, or has no room."""


class NotOpenError(StateError):
    """The file of dead letters and outbox cannot be opened so far; each use tries again."""


class NoSuchJobError(BramaError):
    """There is no such job, or it is not in the state that the command needs."""
