"""The environment of a worker replaces the zygote's, and takes effect."""

import os
import random
import sys
import types
from collections.abc import Iterator
from multiprocessing import current_process
from pathlib import Path

import pytest

from bot_worker import environment
from brama.clock import read_time_zone


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before, search_path, key = dict(os.environ), list(sys.path), current_process().authkey
    yield
    os.environ.clear()
    os.environ.update(before)
    sys.path[:] = search_path
    current_process().authkey = key
    read_time_zone()


def test_nothing_of_the_old_environment_stays():
    os.environ["LEFTOVER"] = "x"
    environment.replace_environment({"DB": "shop.db"}, "instance/shop/1")
    assert dict(os.environ) == {"DB": "shop.db", "BRAMA_WORKER": "instance/shop/1"}


def test_a_search_path_of_its_own_comes_first_and_known_folders_stay_where_they_are(tmp_path):
    known = sys.path[-1]
    times = sys.path.count(known)
    own = [str(tmp_path / "one"), str(tmp_path / "two")]
    environment.replace_environment({"PYTHONPATH": os.pathsep.join([own[0], known, "", own[1]])}, "")
    assert sys.path[:2] == own
    assert sys.path.count(known) == times


def test_a_locale_that_does_not_exist_is_no_error():
    environment.replace_environment({"LC_ALL": "xx_XX.nonsense"}, "")
    environment.replace_environment({"LC_ALL": "C.UTF-8"}, "")


def test_keys_and_foreign_generators_are_made_anew(monkeypatch):
    key = bytes(current_process().authkey)
    seeded = []
    numpy_random = types.SimpleNamespace(seed=lambda: seeded.append(random.random()))
    monkeypatch.setitem(sys.modules, "numpy.random", numpy_random)
    environment.renew_randomness()
    assert bytes(current_process().authkey) != key
    assert len(seeded) == 1


def test_home_is_replaced_only_where_it_is_of_no_use(tmp_path: Path):
    os.environ["HOME"] = str(tmp_path)
    environment.find_home("/elsewhere")
    assert os.environ["HOME"] == str(tmp_path)
    os.environ["HOME"] = "/proc/1/nothing"
    environment.find_home("/elsewhere")
    assert os.environ["HOME"] == "/elsewhere"
