"""A master of plain bots in a process of its own, to be killed: ``python -m ... FOLDER BEHAVIOUR``."""

import asyncio
import sys
from pathlib import Path

from brama.errors import StateError
from supervisor.fleet.lock import InstanceLock
from supervisor.fleet.policy.model import State
from tests.integration.fleet.stage import MemoryStore, bot, settings, staged
from tests.waiting import await_until


class FileStore(MemoryStore):
    """A state file of one row a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__({path.name.replace("+", "/"): path.read_bytes() for path in folder.glob("*")})

    async def remember(self, key: str, value: bytes) -> None:
        new = self.folder.with_suffix(".new")
        new.write_bytes(value)
        new.rename(self.folder / key.replace("/", "+"))
        await super().remember(key, value)


def configuration(folder: Path, behaviour: str):
    return settings(
        folder, bot("shop", behaviour, folder / "shop"), bot("support", "serve", folder / "support")
    )


def store_of(folder: Path) -> FileStore:
    (folder / "store").mkdir(exist_ok=True)
    return FileStore(folder / "store")


async def main(folder: Path, behaviour: str) -> None:
    store = store_of(folder)
    async with staged(configuration(folder, behaviour), store) as stage:
        await stage.all_reach(State.RUNNING)
        await await_until(lambda: "processes" in store.rows)
        print(stage.zygote.pid, *(view.pid for view in stage.fleet.views()), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    lock = InstanceLock(place / "state")
    (place / "state").mkdir(exist_ok=True)
    try:
        lock.acquire()
    except StateError as error:
        sys.exit(str(error))
    asyncio.run(main(place, sys.argv[2]))
