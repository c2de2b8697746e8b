"""Tries out what a master needs for its job queue, before it takes another's place.

Runs in: command line, a child of the master.
"""

import os
import sys

from brama.config.settings import Settings
from jobs.llm.server import bind
from jobs.registry import load_types
from jobs.storage.database import check_readable
from supervisor.job_queue.backend import backend_terms
from supervisor.job_workers.records import JobsRecord


def try_jobs(left: JobsRecord | None, settings: Settings) -> None:
    """Do everything that a take-over needs of jobs and that leaves no trace: their modules are imported.

    Args:
        left: what the running master would leave now.
        settings: the configuration.

    Raises:
        BramaError: jobs could not be gone on with.
    """
    check_readable(settings.state_dir)
    terms = backend_terms(settings)
    if terms is not None and (left is None or left.address != (terms.host, terms.port)):
        bind(terms.host, terms.port).close()
    if settings.jobs.modules:
        os.chdir(settings.project_root)
        sys.path.insert(0, str(settings.project_root))
        load_types(settings.jobs.modules)
