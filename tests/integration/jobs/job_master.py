"""A master with jobs and without bots: ``python -m tests.integration.jobs.job_master STATE_DIR``.

Its queue is the one that REDIS_URL names; it serves the control API until it is killed.
"""

import asyncio
import os
import sys
from pathlib import Path

from jobs.engine.bullmq_queue import BullQueue
from jobs.operations import JobOperations
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetters
from jobs.storage.outbox import Outbox
from supervisor.control.jobs_status import EngineState, JobsStatus
from tests.fakes_control import FakeMaster, serve


async def main(state_dir: Path) -> None:
    database, queue = Database(state_dir), BullQueue(os.environ["REDIS_URL"])
    master = FakeMaster()
    master.jobs = JobsStatus(EngineState.OK, None, "unix://redis.sock", None, 0, 0, 0, 0, 0, 0)
    jobs = JobOperations(queue, DeadLetters(database), Outbox(database), ["NOT_USED_YET"])
    await serve(master, state_dir, jobs=jobs).start()
    print("serving", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
