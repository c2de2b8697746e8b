"""What the master does not load while jobs are off."""

import subprocess
import sys


def test_the_libraries_of_the_job_queue_are_not_imported_beside_the_master():
    program = (
        "import sys, supervisor.app, supervisor.cli; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"redis", "bullmq", "openai", "httpx2", "jobs"} & set(done.stdout.split())
