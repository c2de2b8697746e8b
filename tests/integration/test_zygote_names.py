"""The list of names that the zygote lays out fits the libraries that are installed."""

import subprocess
import sys
from pathlib import Path

import bot_worker

LIST = Path(bot_worker.__file__).with_name("names.txt")
#: Minor releases of libraries rename little; below this the list is worth making anew.
WORTHWHILE_SHARE = 0.9


def test_the_list_holds_what_bots_use() -> None:
    listed = set(LIST.read_text().split())
    done = subprocess.run(
        [sys.executable, "-m", "bot_worker.names"], capture_output=True, text=True, check=True, timeout=60
    )
    used = set(done.stdout.split())
    assert len(used) > 1000
    share = len(used & listed) / len(used)
    assert share > WORTHWHILE_SHARE, "python -m bot_worker.names > bot_worker/names.txt"
