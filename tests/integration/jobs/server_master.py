"""A process that runs a queue server and is then killed: ``python server_master.py STATE_DIR``."""

import asyncio
import sys
from pathlib import Path

from jobs.engine.programs import find_program
from jobs.engine.server import QueueServer


async def main() -> None:
    server = QueueServer(find_program(), Path(sys.argv[1]))
    await server.start()
    (Path(sys.argv[1]) / "ready").write_text(str(server.pid))
    await asyncio.Event().wait()


asyncio.run(main())
