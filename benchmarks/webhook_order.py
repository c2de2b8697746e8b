"""What a load of webhook requests is, and what came of it; ``webhook_load`` carries it out."""

import subprocess
import sys
from pathlib import Path

import msgspec

_TIMEOUT_S = 300.0


class Target(msgspec.Struct, frozen=True):
    """One bot's webhook: its address and its secret."""

    url: str
    secret: str


class Order(msgspec.Struct, frozen=True):
    """What to deliver.

    Attributes:
        targets: bots, all at one host and port.
        updates: how many, over all bots in turn.
        first_id: the first update's id; each has the one after.
        ends: when all are answered, each bot gets one more, whose text is "the last".
        connections: how many stay open, with one request at a time each; each is a chat of its own.
        ca: the certificate to trust, None for http.
    """

    targets: list[Target]
    updates: int
    first_id: int
    ends: bool = False
    connections: int = 64
    ca: str | None = None


class Result(msgspec.Struct, frozen=True):
    """What came of it: the moment of the first request in monotonic seconds, and how long requests took."""

    began_at: float
    seconds: float
    count: int
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]

    @property
    def rate(self) -> float:
        """Updates a second."""
        return self.count / self.seconds

    @property
    def is_all_taken(self) -> bool:
        """Whether each was answered 200."""
        return self.statuses == {"200": self.count}


def run_load(order: Order) -> Result:
    """Have another process carry out ``order``.

    Raises:
        RuntimeError: not each update was answered 200.
    """
    command = [sys.executable, "-m", "benchmarks.webhook_load"]
    # Secrets go by standard input: a command line is everybody's to read.
    done = subprocess.run(
        command,
        input=msgspec.json.encode(order),
        stdout=subprocess.PIPE,
        check=True,
        timeout=_TIMEOUT_S,
        cwd=Path(__file__).parents[1],
    )
    result = msgspec.json.decode(done.stdout, type=Result)
    if not result.is_all_taken:
        raise RuntimeError(f"not every update was answered 200: {result.statuses}")
    return result
