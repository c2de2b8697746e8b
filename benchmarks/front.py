"""Where bots in mode webhook are delivered to: through nginx with TLS, or straight."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.nginx import running_nginx
from benchmarks.ports import free_port

#: The key from which each bot's own secret is derived.
WEBHOOK_SECRET = "the-secret-of-the-measured-fleet"


@dataclass(frozen=True, slots=True)
class Front:
    """An address for the Bot API server, and the port of this machine where it ends.

    Attributes:
        address: what ``setWebhook`` is told, without a path.
        port: where whoever takes updates in has to listen.
        ca: the certificate to trust, None: plain HTTP.
        access_log: of the proxy, None without one.
    """

    address: str
    port: int
    ca: Path | None = None
    access_log: Path | None = None

    @property
    def section(self) -> dict[str, object]:
        """The configuration's section ``webhook``."""
        return {"host": self.address, "port": self.port, "secret": WEBHOOK_SECRET}

    @property
    def sandbox_options(self) -> tuple[str, ...]:
        """What a sandbox must be told to deliver there."""
        return () if self.ca is None else ("--ca", str(self.ca))

    def count_taken(self) -> int | None:
        """Return how many deliveries were answered 200 so far, None if there is no proxy to count them."""
        if self.access_log is None:
            return None
        lines = self.access_log.read_text().splitlines()
        return sum('"POST /webhook/' in line and ' HTTP/1.1" 200 ' in line for line in lines)


def straight_front() -> Front:
    """Return a front without a proxy."""
    port = free_port()
    return Front(f"http://127.0.0.1:{port}", port)


@contextmanager
def encrypted_front(folder: Path) -> Iterator[Front]:
    """Run nginx with the shipped configuration until the block ends.

    Args:
        folder: one that does not exist yet, for nginx's files.
    """
    with running_nginx(folder, free_port()) as nginx:
        yield Front(nginx.address, nginx.upstream, nginx.certificate.cert, nginx.folder / "access.log")
