"""The type of a job: what it takes, what is done with it, and every number about it.

Runs in: wherever jobs are enqueued or run.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast, get_type_hints

from pydantic import BaseModel, TypeAdapter

from brama.config.values import parse_duration
from jobs.context import JobContext
from jobs.policy.backoff import Backoff, exponential
from jobs.policy.ids import check_name
from jobs.policy.rates import Rates

PayloadT = TypeVar("PayloadT", bound=BaseModel)
WhenDead = Callable[[Any, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, eq=False)
class JobType(Generic[PayloadT]):
    """A handler with its terms; made by ``@job``. Calling it calls the handler, as tests do.

    Args:
        name: what the engine calls it.
        queue: where its jobs wait.
        handler: ``async def`` runs in the worker's event loop, ``def`` in a child process.
        payload: the model of what it takes.
        result: checks what the handler returns.
        timeout_s: an attempt is ended after this many seconds.
        attempts: how often a job is tried, and how often it may stall.
        backoff: the waits between attempts.
        concurrency: cap over all workers, None for as many as there are slots.
        keep_s: how long completed jobs are kept; None for an hour, 1000 at most.
        when_dead: called with the data and the error of a job that failed for good.
        limited_by: whose calls a job's start counts among, as its organisation; None for no limit.
        rates: of a limit that is the type's alone; None for the one that all types share.
    """

    name: str
    queue: str
    handler: Callable[[PayloadT, JobContext], Any]
    payload: type[PayloadT]
    result: TypeAdapter[Any]
    timeout_s: float
    attempts: int
    backoff: Backoff
    concurrency: int | None
    keep_s: float | None
    when_dead: WhenDead | None = None
    limited_by: Callable[[PayloadT], str | int] | None = None
    rates: Rates | None = None

    @property
    def is_async(self) -> bool:
        """Whether the handler runs in the event loop."""
        return inspect.iscoroutinefunction(self.handler)

    def plain(self, payload: BaseModel) -> Any:
        """Return ``payload`` as JSON has it; its model is checked again, as it may have been changed.

        Raises:
            TypeError: it is not of the type's model.
            ValueError: its values are none that the model takes.
        """
        if not isinstance(payload, self.payload):
            raise TypeError(f"job {self.name}: takes {self.payload.__name__}, not {type(payload).__name__}")
        data = payload.model_dump(mode="json", warnings=False)
        self.payload.model_validate(data)
        return data

    def __call__(self, payload: PayloadT, context: JobContext) -> Any:
        return self.handler(payload, context)


#: A type whatever its payload.
AnyJobType = JobType[Any]


def job(
    name: str,
    *,
    timeout: str = "5m",
    attempts: int = 3,
    backoff: Backoff = exponential("1s", cap="5m"),
    queue: str | None = None,
    concurrency: int | None = None,
    keep: str | None = None,
    when_dead: WhenDead | None = None,
    limited_by: Callable[[Any], str | int] | None = None,
    rates: Rates | None = None,
) -> Callable[[Callable[[PayloadT, JobContext], Any]], JobType[PayloadT]]:
    """Make a function ``(payload, context) -> result`` the handler of a type of job.

    The payload is annotated with a pydantic model. The result is anything that JSON can say; an annotation of
    it is checked as well.

    Args:
        name: the type; 1 to 100 of ``A-Z a-z 0-9 _ . -``.
        timeout: longest duration of one attempt, as ``30s`` or ``5m``.
        attempts: how often a job is tried; at least 1.
        backoff: the waits between attempts.
        queue: where its jobs wait; one named after the type if None. A named queue may hold several types,
            and all must be ours: BullMQ hands jobs out by queue, not by name.
        concurrency: how many of the queue's jobs all workers together run at once; None for no cap.
        keep: how long a completed job is kept, with its result and its key, as ``24h``; an hour, and 1000 of
            the queue's jobs at most, if None.
        when_dead: coroutine function that is called with the data, which may be no valid payload, and the
            error of a job that failed for good, in the worker's loop. The job's end waits for it, 10 s at
            most; what it raises is logged, and should its worker die, it is called again.
        limited_by: returns whose limit a payload counts for, as ``lambda payload: payload.organisation``. A
            job that finds its limit used up is not started but delayed until its turn.
        rates: a limit of the type's own with these rates; None for the one that all types share, whose rates
            are the worker's (``jobs.limits``).

    Raises:
        TypeError: the function does not take a payload that is a pydantic model, and a context.
        ValueError: a name, number or duration is none.
    """
    check_name(name, "job")
    check_name(queue or name, "queue")
    if attempts < 1 or (concurrency is not None and concurrency < 1):
        raise ValueError(f"job {name}: attempts and concurrency are at least 1")
    if rates is not None and limited_by is None:
        raise ValueError(f"job {name}: rates need limited_by; write for example lambda payload: payload.user")
    timeout_s = parse_duration(timeout)
    if timeout_s <= 0:
        raise ValueError(
            f'job {name}: the timeout "{timeout}" ends every attempt at once; write for example 5m'
        )

    def decorate(handler: Callable[[PayloadT, JobContext], Any]) -> JobType[PayloadT]:
        hints = get_type_hints(handler)
        parameters = list(inspect.signature(handler).parameters)
        payload = hints.get(parameters[0]) if len(parameters) == 2 else None
        if not (isinstance(payload, type) and issubclass(payload, BaseModel)):
            raise TypeError(
                f"job {name}: {handler.__qualname__}() must take (payload: a pydantic model, context)"
            )
        return JobType(
            name=name,
            queue=queue or name,
            handler=handler,
            payload=cast("type[PayloadT]", payload),
            result=TypeAdapter(hints.get("return", Any)),
            timeout_s=timeout_s,
            attempts=attempts,
            backoff=backoff,
            concurrency=concurrency,
            keep_s=parse_duration(keep) if keep else None,
            when_dead=when_dead,
            limited_by=limited_by,
            rates=rates,
        )

    return decorate
