"""``jobs/``, as authors use it: typed jobs through the producer, and worker processes."""

from benchmarks.peers.base import PYTHON
from benchmarks.peers.jobs_base import Load


class OurJobs:
    """A producer with its outbox, and ``jobs.worker``."""

    name = "jobs/"

    def adding(self, load: Load) -> list[str]:
        """Return the command of a process that adds jobs."""
        options = (load.socket, load.state_dir, load.count, load.at_once, load.text)
        return [PYTHON, "-m", "benchmarks.jobs_adding", *map(str, options)]

    def working(self, load: Load) -> list[str]:
        """Return the command of a worker, which finds the server in its state directory."""
        options = ("--state-dir", load.state_dir, "--slots", load.at_once, "benchmarks.jobs_handlers")
        return [PYTHON, "-m", "jobs.worker", *map(str, options)]
