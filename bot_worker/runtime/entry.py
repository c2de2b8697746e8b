"""Runs a bot's entry point: a script as ``__main__``, or an application built by a function.

Runs in: worker.
"""

import asyncio
import importlib
import inspect
import io
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from telegram.ext import Application, ApplicationBuilder

from bot_worker.runtime.policy.boot_failure import ConfigurationError, EntryMissingError
from brama.messages import Boot


def run_entry(boot: Boot) -> None:
    """Run the bot until it ends.

    Raises:
        EntryMissingError: there is no such script, module or function, or it returned something else.
        ConfigurationError: ``cwd`` is no folder.
        BaseException: whatever bot code raises.
    """
    try:
        os.chdir(boot.cwd)
    except OSError as error:
        raise ConfigurationError(f"cwd {boot.cwd} cannot be entered: {error.strerror}; correct cwd") from None
    if boot.kind == "script":
        _run_script(boot.entry, boot.args)
    else:
        _run_app(boot.entry, boot.args, boot.project_root)


def _run_script(path: str, args: list[str]) -> None:
    """Do what ``python path args`` does."""
    path = os.path.abspath(path)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        raise EntryMissingError(f"script {path} cannot be read: {error.strerror}") from None
    sys.argv = [path, *args]
    sys.path.insert(0, os.path.dirname(path))
    code = compile(source, path, "exec", dont_inherit=True)
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __cached__=None, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    exec(code, main.__dict__)


def _run_app(entry: str, args: list[str], project_root: str) -> None:
    sys.argv = [entry, *args]
    sys.path.insert(0, project_root)
    target = _load(entry)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    application = _application_of(target, entry, loop)
    if application is not None:
        application.run_polling()


def _load(entry: str) -> Any:
    module_name, _, path = entry.partition(":")
    target: Any = importlib.import_module(module_name)
    for name in path.split("."):
        try:
            target = getattr(target, name)
        except AttributeError:
            raise EntryMissingError(f"app {entry}: module {module_name} has no {path}") from None
    return target


def _application_of(
    target: Any, entry: str, loop: asyncio.AbstractEventLoop
) -> Application[Any, Any, Any, Any, Any, Any] | None:
    """Return the application that ``target`` is, builds or fills with handlers; None if it ran one."""
    if not callable(target):
        return _built(target, entry)
    if not _takes_application(target, entry):
        result = _finish(target(), loop)
        return None if result is None else _built(result, entry)
    application = ApplicationBuilder().build()
    result = _finish(target(application), loop)
    return application if result is None else _built(result, entry)


def _finish(result: Any, loop: asyncio.AbstractEventLoop) -> Any:
    """Return ``result``, or what it returns if it is awaitable."""
    if inspect.isawaitable(result):

        async def wait() -> Any:
            return await result

        return loop.run_until_complete(wait())
    return result


def _built(value: Any, entry: str) -> Application[Any, Any, Any, Any, Any, Any]:
    if isinstance(value, ApplicationBuilder):
        value = value.build()
    if not isinstance(value, Application):
        raise EntryMissingError(
            f"app {entry} gave {type(value).__name__}; it must return an Application or ApplicationBuilder"
        )
    return value


def _takes_application(function: Callable[..., Any], entry: str) -> bool:
    """Return whether ``function`` must be given one argument: the application to register handlers with."""
    parameters = inspect.signature(function).parameters.values()
    needed = [
        parameter
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(needed) > 1 or any(parameter.kind is parameter.KEYWORD_ONLY for parameter in needed):
        names = ", ".join(parameter.name for parameter in needed)
        raise EntryMissingError(
            f"app {entry} wants {names}; it may take nothing (and return an application) or one Application"
        )
    return bool(needed)
