"""With uids of their own, bots cannot look into each other, nor into the supervisor."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.fleet import Fleet, new_fleet, require_root
from tests.fixtures.sandbox import RunningSandbox

FIRST_UID = 64100
DENIED = "Permission denied"


@pytest.fixture
def isolated(sandbox: RunningSandbox, open_folder: Path) -> Iterator[Fleet]:
    """Two bots, each with a uid and a folder of its own."""
    require_root("to give bots uids of their own")
    uids = f"{FIRST_UID}-{FIRST_UID + 9}"
    with new_fleet(open_folder / "project", sandbox, isolation={"uids": uids}) as fleet:
        for number, name in enumerate(("shop", "support")):
            home = fleet.folder / name
            home.mkdir(mode=0o700)
            (home / "data").write_text("orders")
            for path in (home, home / "data"):
                os.chown(path, FIRST_UID + number, FIRST_UID + number)
            fleet.add(name, cwd=str(home))
        fleet.start_and_wait()
        yield fleet


def test_a_bot_with_a_uid_of_its_own_sees_itself_alone(isolated):
    shop = isolated.bots["shop"]
    own, other, master = isolated.pid("shop"), isolated.pid("support"), isolated.process.pid
    for number, pid in enumerate((own, other)):
        status = Path(f"/proc/{pid}/status").read_text()
        uid = FIRST_UID + number
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
        assert f"Gid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
        assert "Groups:\t \n" in status
        assert "NoNewPrivs:\t1" in status
    readable = [str(isolated.folder / "shop" / "data"), str(isolated.folder / "logs" / "worker_shop.log")]
    closed = [
        f"/proc/{other}/environ",
        f"/proc/{other}/mem",
        f"/proc/{master}/environ",
        f"/proc/{master}/mem",
        str(isolated.folder / "support" / "data"),
        str(isolated.folder / "logs" / "worker_support.log"),
        str(isolated.folder / "logs" / "master.log"),
        str(isolated.state_dir / "brama.db"),
        str(isolated.state_dir / "brama.sock"),
        str(isolated.config),
    ]
    assert [path for path in readable if shop.ask(f"read {path}") != "readable"] == []
    assert [path for path in closed if shop.ask(f"read {path}") != DENIED] == []
    assert shop.ask(f"knock {other}") == "Operation not permitted"
    assert shop.ask(f"knock {master}") == "Operation not permitted"
    assert shop.ask(f"knock {own}") == "may be killed"


def test_a_bot_keeps_its_uid_over_everything(isolated):
    """Its files are its own: the next process, and the next master, give it the same uid."""

    def owner() -> int:
        return Path(f"/proc/{isolated.pid('support')}").stat().st_uid

    first = owner()
    isolated.command("restart", "support")
    isolated.wait_state("RUNNING")
    assert owner() == first
    assert isolated.stop() == 0
    # Another bot takes the first place in the file.
    isolated.add("new", cwd=str(isolated.folder))
    isolated.entries = {"new": isolated.entries.pop("new"), **isolated.entries}
    isolated.start_and_wait()
    assert owner() == first
    assert isolated.bots["support"].ask(f"read {isolated.folder}/support/data") == "readable"
