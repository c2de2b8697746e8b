"""What an acknowledged update left behind is on the disk, whatever happens to the process."""

import os
import pickle
import signal
import stat

import pytest

from brama.messages import Processed, Released

KINDS = [["single"], [], ["single", "on_flush"], ["on_flush"]]


@pytest.mark.parametrize("args", KINDS, ids=" ".join)
def test_a_conversation_goes_on_after_sigkill(start_bot, sent_texts, args):
    bot = start_bot("conversation_pickle.py", args=args)
    assert bot.wait_ready().persistent
    bot.wait_processed(bot.say("/begin"), bot.say("one"), bot.say("/inner"))
    os.kill(bot.pid, signal.SIGKILL)
    assert bot.wait_exit() == -signal.SIGKILL

    bot = start_bot("conversation_pickle.py", args=args)
    bot.wait_ready()
    bot.wait_processed(bot.say("two"), bot.say("/back"), bot.say("three"), bot.say("/end"), bot.say("/begin"))
    assert bot.drain() == 0
    assert sent_texts() == [
        "conversation 1",
        "noted one",
        "inner",
        "inner two",
        "back",
        "noted one three",
        "the end",
        "conversation 2",
    ]
    assert "Traceback" not in bot.log


def test_the_next_update_does_not_wait_for_the_saving_of_the_last(start_bot):
    bot = start_bot("conversation_pickle.py", args=["single"])
    bot.wait_ready()
    seqs = [bot.say("/begin") for _ in range(20)]
    bot.wait(lambda: bot.seqs(Released) == seqs)
    bot.wait_processed(*seqs)
    assert len(bot.all_said(Processed)) < 20


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode(start_bot, tmp_path):
    state = tmp_path / "state"
    bot = start_bot("conversation_pickle.py", args=["single"])
    bot.wait_ready()
    bot.wait_processed(bot.say("/begin"))
    state.chmod(0o640)
    before = state.stat()
    bot.wait_processed(bot.say("more"))
    after = state.stat()
    assert after.st_ino != before.st_ino
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert bot.drain() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state", "worker.log"]


def test_conversation_timeouts_run(start_bot, api, token, sent_texts):
    bot = start_bot("conversation_pickle.py", args=["timeout"])
    bot.wait_ready()
    bot.wait_processed(bot.say("/begin"))
    api.control.sent(int(token.partition(":")[0]), wait_s=20, count=2)
    assert sent_texts() == ["conversation 1", "timed out"]


OWN = """
import errno, pathlib
from telegram.ext import *

class Own(DictPersistence):
    async def update_user_data(self, user_id, data):
        if pathlib.Path("fail").exists():
            raise OSError(errno.ENOSPC, 'No space left on device')
        pathlib.Path(f"user_{user_id}").write_text(repr(data))

    async def flush(self):
        print("flushed")

async def count(update, context):
    context.user_data["count"] = context.user_data.get("count", 0) + 1

app = Application.builder().persistence(Own()).build()
app.add_handler(MessageHandler(filters.TEXT, count))
app.run_polling()
"""


def test_a_failing_disk_holds_acknowledgements_until_it_works(start_bot, tmp_path):
    fail = tmp_path / "fail"
    fail.touch()
    bot = start_bot(OWN)
    bot.wait_ready()
    seqs = [bot.say("one"), bot.say("two")]
    bot.wait(lambda: bot.seqs(Released) == seqs)
    bot.wait(lambda: "No space left" in bot.log)
    assert bot.seqs(Processed) == []
    fail.unlink()
    bot.wait_processed(*seqs)
    assert (tmp_path / "user_10").read_text() == "{'count': 2}"
    assert "No space left on device" in bot.notice("persistence_failed")
    assert "flushed" not in bot.log
    assert bot.drain() == 0
    assert "flushed" in bot.log


UNPICKLABLE = """
import threading
from telegram.ext import *

class Locked:
    def __init__(self):
        self.lock = threading.Lock()
    def __deepcopy__(self, memo):
        return self

async def spoil(update, context):
    context.user_data["lock"] = Locked()

async def mend(update, context):
    context.user_data.clear()
    context.user_data["mended"] = True

app = Application.builder().persistence(PicklePersistence("state")).build()
app.add_handler(CommandHandler("spoil", spoil))
app.add_handler(CommandHandler("mend", mend))
app.run_polling()
"""


def test_a_pickle_file_survives_what_cannot_be_pickled(start_bot, tmp_path):
    bot = start_bot(UNPICKLABLE)
    bot.wait_ready()
    bot.wait_processed(bot.say("/mend"))
    before = (tmp_path / "state").read_bytes()
    bot.wait_processed(bot.say("/spoil"))
    assert "not saved" in bot.notice("persistence_hopeless")
    assert (tmp_path / "state").read_bytes() == before
    bot.wait_processed(bot.say("/mend"))
    assert bot.drain() == 0
    assert pickle.loads(before)["user_data"] == {10: {"mended": True}}
    assert pickle.loads((tmp_path / "state").read_bytes())["user_data"] == {10: {"mended": True}}


DICT = """
from telegram.ext import *

async def count(update, context):
    context.user_data["count"] = 1

app = Application.builder().persistence(DictPersistence()).build()
app.add_handler(MessageHandler(filters.TEXT, count))
app.run_polling()
print(app.persistence.user_data)
"""


def test_dict_persistence_is_kept_in_memory_and_holds_nothing_up(start_bot):
    bot = start_bot(DICT)
    assert not bot.wait_ready().persistent
    bot.wait_processed(bot.say("one"))
    assert bot.drain() == 0
    assert "{10: {'count': 1}}" in bot.log
