"""The types that a worker runs, found in the modules it was told.

Runs in: job worker | job child.
"""

import importlib
from collections.abc import Iterable

from brama.errors import ConfigError
from jobs.job_type import AnyJobType, JobType

#: Names that a project cannot use for packages of its own.
_OURS = frozenset({"brama", "jobs"})
_TAKEN = "{} is the supervisor's own package, so rename yours if you have one"


class Registry:
    """Types by queue and name.

    Args:
        types: each with a queue and name of its own; types of one queue agree on its concurrency and keeping.

    Raises:
        ConfigError: they do not.
    """

    def __init__(self, types: Iterable[AnyJobType]) -> None:
        self._types: dict[tuple[str, str], AnyJobType] = {}
        for each in types:
            other = self._types.setdefault((each.queue, each.name), each)
            if other is not each:
                raise ConfigError(f"jobs: two handlers for {each.name} in queue {each.queue}; rename one")
        for queue in self.queues:
            if len({(each.concurrency, each.keep_s) for each in self._of(queue)}) > 1:
                raise ConfigError(
                    f"jobs: the types of queue {queue} differ in concurrency or keep; make them one"
                )

    @property
    def queues(self) -> list[str]:
        """The queues of all types."""
        return sorted({queue for queue, _ in self._types})

    def find(self, queue: str, name: str) -> AnyJobType | None:
        """Return the type, None if nobody knows it."""
        return self._types.get((queue, name))

    def concurrency(self, queue: str) -> int | None:
        """Return the cap of ``queue`` over all workers."""
        return self._of(queue)[0].concurrency

    def keep_s(self, queue: str) -> float | None:
        """Return how long completed jobs of ``queue`` are kept, in seconds."""
        return self._of(queue)[0].keep_s

    def max_stalls(self, queue: str) -> int:
        """Return how often a job of ``queue`` may stall: the attempts of the type that has most."""
        return max(each.attempts for each in self._of(queue))

    def _of(self, queue: str) -> list[AnyJobType]:
        return [each for (its_queue, _), each in self._types.items() if its_queue == queue]


def load_types(modules: Iterable[str]) -> Registry:
    """Import ``modules`` and return every type that is a name in one of them.

    Raises:
        ConfigError: a module cannot be imported or holds no type, or types contradict each other.
    """
    found: dict[int, AnyJobType] = {}
    for module in modules:
        try:
            loaded = importlib.import_module(module)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            raise ConfigError(f"jobs: {module} cannot be imported: {_describe(error)}") from error
        types = [value for value in vars(loaded).values() if isinstance(value, JobType)]
        if not types:
            way_out = _TAKEN.format(module) if module in _OURS else "decorate a function with @job"
            raise ConfigError(f"jobs: {module} has no job in it; {way_out}")
        found.update((id(each), each) for each in types)
    return Registry(found.values())


def _describe(error: BaseException) -> str:
    """Return one line."""
    text = f"{error.msg} ({error.filename}, line {error.lineno})" if isinstance(error, SyntaxError) else error
    line = " ".join(f"{type(error).__name__}: {text}".split())
    name = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    return f"{line}; {_TAKEN.format(name)}" if name in _OURS else line
