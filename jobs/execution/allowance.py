"""What one job may do of what is limited.

Runs in: job worker.
"""

from dataclasses import dataclass

from pydantic import BaseModel

from jobs.engine.port import RateLimiter
from jobs.execution.attempt import failure_of
from jobs.job_type import AnyJobType
from jobs.policy.verdict import Cause, Failure
from jobs.turns import wait_for_turn


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit, and whose calls the job's are.

    Args:
        limiter: the limit.
        key: None if the job's start is not limited.
    """

    limiter: RateLimiter
    key: str | None

    async def take_start(self, ahead: bool) -> float:
        """Return 0.0 if the job may start, else the seconds until its turn.

        Raises:
            EngineUnavailableError: the server cannot be reached.
        """
        return 0.0 if self.key is None else await self.limiter.take(self.key, ahead=ahead)

    async def wait(self, key: str | None) -> None:
        """Wait in mid-job; see ``JobContext.wait_for_turn``."""
        if (whose := self.key if key is None else key) is None:
            raise ValueError("wait_for_turn() has no key; give one, or have the type's limited_by name it")
        await wait_for_turn(self.limiter, whose)


def allowance(limiter: RateLimiter, job_type: AnyJobType, payload: BaseModel) -> Allowance | Failure:
    """Return what a job with ``payload`` may do, or why nobody can say."""
    if job_type.limited_by is None:
        return Allowance(limiter, None)
    try:
        key: object = job_type.limited_by(payload)
    except Exception as error:  # of the type's author
        return failure_of(error)
    if not isinstance(key, str | int):
        kind = type(key).__name__
        return Failure(Cause.BAD_PAYLOAD, f"limited_by returned {kind}; it must name whose limit counts")
    return Allowance(limiter, str(key))
