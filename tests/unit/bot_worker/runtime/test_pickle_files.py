"""A file is replaced as a whole, or left as it was."""

import errno
import os
import pickle
import stat
from pathlib import Path

import pytest
from telegram import Bot
from telegram.ext import PicklePersistence

from bot_worker.runtime import pickle_files
from bot_worker.runtime.pickle_files import PickleFiles, replace_file


def a_persistence(path: Path, *, single: bool, on_flush: bool = False) -> PicklePersistence:
    persistence = PicklePersistence(path, single_file=single, on_flush=on_flush)
    persistence.bot = Bot("1001:" + "A" * 35)
    return persistence


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_and_a_replaced_one(tmp_path: Path):
    path = tmp_path / "state"
    replace_file(path, b"one", "bot")
    path.chmod(0o604)
    replace_file(path, b"two", "bot")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert names(tmp_path) == ["state"]


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "real").write_bytes(b"one")
    link = tmp_path / "link"
    link.symlink_to("real")
    replace_file(link, b"two", "bot")
    assert link.is_symlink()
    assert (tmp_path / "real").read_bytes() == b"two"


def test_a_device_is_written_in_place():
    replace_file(Path(os.devnull), b"x", "bot")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_full_disk_leaves_the_old_content_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new", "bot")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["state"]


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    replace_file(path, b"new", "bot")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("on_flush", [True, False])
async def test_a_saving_writes_each_file_once(tmp_path: Path, monkeypatch, single, on_flush):
    persistence = a_persistence(tmp_path / "state", single=single, on_flush=on_flush)
    files = PickleFiles("bot")
    monkeypatch.setattr(PicklePersistence, "_dump_file", lambda *args: files.dump_file(*args))
    monkeypatch.setattr(PicklePersistence, "_dump_singlefile", lambda self: files.dump_single_file(self))
    written: list[str] = []
    replace = pickle_files.replace_file

    def count(path: Path, data: bytes, suffix: str) -> None:
        written.append(path.name)
        replace(path, data, suffix)

    monkeypatch.setattr(pickle_files, "replace_file", count)
    with files.collected():
        for number in range(5):
            await persistence.update_user_data(number, {"n": number})
            await persistence.update_chat_data(number, {"n": number})
    assert written == []
    await files.write(persistence)
    assert sorted(written) == (["state"] if single else ["state_chat_data", "state_user_data"])
    await files.write(persistence)
    assert len(written) == (len(set(written)) * (2 if on_flush else 1))

    again = a_persistence(tmp_path / "state", single=single)
    assert await again.get_user_data() == {number: {"n": number} for number in range(5)}


async def test_what_failed_is_written_next_time(tmp_path: Path, monkeypatch):
    persistence = a_persistence(tmp_path / "state", single=True)
    persistence.user_data = {1: {}}
    files = PickleFiles("bot")
    with files.collected():
        files.dump_single_file(persistence)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "bad")))
    with pytest.raises(OSError, match="bad"):
        await files.write(persistence)
    monkeypatch.undo()
    await files.write(persistence)
    assert pickle.loads((tmp_path / "state").read_bytes())["user_data"] == {1: {}}


def test_outside_a_saving_a_file_is_written_at_once(tmp_path: Path):
    persistence = a_persistence(tmp_path / "state", single=True)
    persistence.user_data = {1: {}}
    PickleFiles("bot").dump_single_file(persistence)
    assert names(tmp_path) == ["state"]
