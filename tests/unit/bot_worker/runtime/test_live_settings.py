"""Settings for bot authors, inside the supervisor and outside."""

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from telegram.ext import DictPersistence

import brama
from bot_worker.runtime.live_settings import LiveSettings, SettingsInBotData, keep_out_of
from bot_worker.runtime.notices import Notices
from brama import author
from brama.errors import ConfigError
from brama.messages import Notice
from tests.unit.bot_worker.runtime.fakes import FakeChannel


@pytest.fixture(autouse=True)
def fresh_author(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(author, "_current", None)
    monkeypatch.setattr(author, "_callbacks", [])


def test_outside_the_supervisor_the_environment_speaks(monkeypatch):
    monkeypatch.setenv("BRAMA_SETTINGS", '{"greeting": "hello"}')
    assert brama.settings() == {"greeting": "hello"}


def test_without_anything_there_are_none(monkeypatch):
    monkeypatch.delenv("BRAMA_SETTINGS", raising=False)
    assert brama.settings() == {}


@pytest.mark.parametrize(("text", "complaint"), [("{", "is not JSON"), ("[1]", "is list in JSON")])
def test_nonsense_is_named(monkeypatch, text, complaint):
    monkeypatch.setenv("BRAMA_SETTINGS", text)
    with pytest.raises(ConfigError, match=f"BRAMA_SETTINGS {complaint}"):
        brama.settings()


def test_settings_cannot_be_changed_by_the_bot():
    author.replace_settings({"a": 1})
    with pytest.raises(TypeError):
        brama.settings()["a"] = 2  # type: ignore[index]
    with pytest.raises(TypeError, match="needs a function"):
        brama.on_settings_change("no function")  # type: ignore[type-var]


def test_the_value_in_bot_data_reads_as_a_dict_and_refuses_changes():
    value = SettingsInBotData({"a": 1})
    for change in (
        lambda: value.update(a=2),
        lambda: value.pop("a"),
        lambda: value.setdefault("b", 1),
        value.clear,
        value.popitem,
        lambda: value.__setitem__("a", 2),
        lambda: value.__delitem__("a"),
        lambda: value.__ior__({"a": 2}),
    ):
        with pytest.raises(TypeError, match="read-only"):
            change()
    assert copy.deepcopy({"settings": value})["settings"] is value
    assert type(pickle.loads(pickle.dumps(value))) is dict
    assert value == {"a": 1}


async def test_a_persistence_never_sees_them():
    class Own(DictPersistence):
        pass

    persistence = Own()
    keep_out_of(Own)
    keep_out_of(Own)
    await persistence.update_bot_data({"settings": SettingsInBotData({"a": 1}), "own": 2})
    assert persistence.bot_data == {"own": 2}
    await persistence.update_bot_data({"settings": "mine"})
    assert persistence.bot_data == {"settings": "mine"}
    assert not hasattr(DictPersistence.update_bot_data, "leaves_settings_out")


def applied(settings: dict[str, Any], bot_data: Any) -> tuple[LiveSettings, FakeChannel]:
    channel = FakeChannel()
    live = LiveSettings(settings, Notices(channel))
    live.put_into(SimpleNamespace(bot_data=bot_data, persistence=None))  # type: ignore[arg-type]
    return live, channel


async def test_bot_data_follows_changes():
    bot_data: dict[str, Any] = {}
    live, _ = applied({"a": 1}, bot_data)
    assert bot_data == {"settings": {"a": 1}}
    live.change({"a": 2})
    assert bot_data == {"settings": {"a": 2}}
    assert brama.settings() == {"a": 2}
    live.change({})
    assert bot_data == {"settings": {}}


@pytest.mark.parametrize("bot_data", [{}, {"settings": "mine"}])
def test_without_settings_bot_data_stays_as_it_is(bot_data):
    before = dict(bot_data)
    applied({}, bot_data)
    assert bot_data == before


def test_a_key_of_the_bots_own_wins():
    bot_data = {"settings": "mine"}
    _, channel = applied({"a": 1}, bot_data)
    assert bot_data == {"settings": "mine"}
    assert [message.code for message in channel.sent if isinstance(message, Notice)] == [
        "settings_in_bot_data"
    ]


def test_bot_data_of_another_kind_is_left_alone():
    applied({"a": 1}, object())


def test_bot_data_that_refuses_is_said():
    class Strict(dict[str, Any]):
        def __setitem__(self, key: str, value: object) -> None:
            raise KeyError(key)

    _, channel = applied({"a": 1}, Strict())
    assert len(channel.sent) == 1
