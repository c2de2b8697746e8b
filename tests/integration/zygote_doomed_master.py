"""A master that starts a zygote and a worker, says their pids, and waits to be killed.

Run as ``python -m tests.integration.zygote_doomed_master FOLDER``.
"""

import sys
import threading
from pathlib import Path

from tests.integration.zygote_master import Master

if __name__ == "__main__":
    master = Master(Path(sys.argv[1]))
    booted = master.start("booted")
    waiting = master.fork("waiting")
    print(master.process.pid, booted.pid, waiting.pid, flush=True)
    threading.Event().wait()
