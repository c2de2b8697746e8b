"""The patches fit the installed python-telegram-bot, and do nothing until a worker is bound."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest
from telegram import Bot, Update
from telegram._utils.defaultvalue import DEFAULT_NONE
from telegram.ext import Application, ApplicationBuilder, BaseUpdateProcessor
from telegram.warnings import PTBUserWarning

from bot_worker.runtime import patches
from bot_worker.runtime.entry import _takes_application
from bot_worker.runtime.policy.boot_failure import EntryMissingError
from brama.errors import ZygoteError


def test_installing_twice_is_installing_once():
    patches.install()
    patched = BaseUpdateProcessor.process_update
    patches.install()
    assert BaseUpdateProcessor.process_update is patched
    assert Application.run_polling.__doc__
    assert BaseUpdateProcessor.process_update.__doc__


async def test_unbound_everything_is_as_it_was():
    patches.install()
    token = "1001:" + "A" * 35
    assert Bot(token).base_url == f"https://api.telegram.org/bot{token}"
    with pytest.raises(RuntimeError, match="No bot token"):
        ApplicationBuilder().build()
    application = ApplicationBuilder().token(token).updater(None).build()
    application._initialized = True
    seen: list[Update] = []

    async def see(update: Update) -> None:
        seen.append(update)

    update = Update(1)
    await application.update_processor.process_update(update, see(update))
    assert seen == [update]
    assert await application.process_error(None, ValueError("x")) is False
    with pytest.warns(PTBUserWarning, match="while the application is not running"):
        await application.create_task(see(update), name="x")


def test_a_version_without_what_is_patched_is_refused(monkeypatch):
    missing = (SimpleNamespace, "no_such_thing", lambda original: original)
    monkeypatch.setattr(patches, "_PATCHES", (missing,))
    monkeypatch.setattr(patches, "_installed", False)
    with pytest.raises(ZygoteError, match=r"has no SimpleNamespace\.no_such_thing"):
        patches.install()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (DEFAULT_NONE, (signal.SIGINT, signal.SIGTERM)),
        (None, []),
        ([signal.SIGABRT, signal.SIGUSR1], [signal.SIGUSR1]),
    ],
)
def test_sigabrt_stays_the_stack_dump(given: Any, used: Any):
    assert patches.without_abort(given) == used


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (lambda: 0, False),
        (lambda a=1, *b, c=2, **d: 0, False),
        (lambda a: 0, True),
        (lambda a, b=1: 0, True),
    ],
)
def test_whether_a_function_takes_an_application(function, takes):
    assert _takes_application(function, "a:b") is takes


@pytest.mark.parametrize("function", [lambda a, b: 0, lambda *, a: 0])
def test_functions_of_another_shape(function):
    with pytest.raises(EntryMissingError, match="it may take nothing"):
        _takes_application(function, "a:b")
