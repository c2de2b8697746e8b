"""Puts the runtime between python-telegram-bot's classes and the network.

Installed once, in the zygote; does nothing until a worker is bound. Patched at the class, so that subclasses
keep working.

Runs in: zygote | worker.
"""

import inspect
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import telegram
from telegram import Bot
from telegram._utils.defaultvalue import DEFAULT_NONE, DefaultValue
from telegram.ext import Application, ApplicationBuilder, BaseUpdateProcessor, PicklePersistence, Updater
from telegram.ext._application import _LOGGER

from bot_worker.runtime import updater
from bot_worker.runtime.error_handling import watch_contexts
from bot_worker.runtime.job_patches import JOB_PATCHES, Patch
from bot_worker.runtime.ports import AnyApplication
from bot_worker.runtime.worker import Worker
from brama.errors import ZygoteError
from brama.jobs import use_transport

AnyCoroutine = Coroutine[Any, Any, Any]

_worker: Worker | None = None
_installed = False


def bind(worker: Worker | None) -> None:
    """Let the patches serve ``worker``, or nobody."""
    global _worker
    _worker = worker
    use_transport(None if worker is None else worker.orders)


@contextmanager
def bound(worker: Worker) -> Iterator[None]:
    """Let the patches serve ``worker`` for a while."""
    bind(worker)
    try:
        yield
    finally:
        bind(None)


def install() -> None:
    """Patch python-telegram-bot; does nothing the second time.

    Raises:
        ZygoteError: the installed version lacks something that is patched.
    """
    global _installed
    if _installed:
        return
    missing = [f"{owner.__name__}.{name}" for owner, name, _ in _PATCHES if not hasattr(owner, name)]
    if missing:
        raise ZygoteError(
            f"python-telegram-bot {telegram.__version__} has no {', '.join(missing)}; install the version "
            f"that brama-supervisor's requirements name"
        )
    for owner, name, make in _PATCHES:
        original = inspect.getattr_static(owner, name)
        wrapper = type(original) if isinstance(original, staticmethod | classmethod) else None
        function = original if wrapper is None else original.__func__
        patched = wraps(function)(make(function))
        setattr(owner, name, patched if wrapper is None else wrapper(patched))
    watch_contexts(_LOGGER, lambda: _worker.errors if _worker is not None else None)
    _installed = True


# --- bots -------------------------------------------------------------------------------------------


def _bot_init(original: Callable[..., None]) -> Callable[..., None]:
    def own_init(self: Bot, *args: Any, **kwargs: Any) -> None:
        if _worker is None:
            original(self, *args, **kwargs)
        else:
            replaced_init(_worker, self, *args, **kwargs)

    def replaced_init(
        worker: Worker,
        self: Bot,
        token: object = None,
        base_url: object = None,
        base_file_url: object = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        original(self, *worker.calls.arguments(token), *args, **kwargs)
        worker.calls.made(self)

    return own_init


def _do_post(original: Callable[..., AnyCoroutine]) -> Callable[..., AnyCoroutine]:
    def do_post(self: Bot, endpoint: str, data: dict[str, Any], **timeouts: Any) -> AnyCoroutine:
        if _worker is None:
            return original(self, endpoint, data, **timeouts)
        return _worker.calls.post(original, self, endpoint, data, **timeouts)

    return do_post


def _build_ext_bot(original: Callable[..., Any]) -> Callable[..., Any]:
    def build_ext_bot(self: Any) -> Any:
        if _worker is not None and isinstance(self._token, DefaultValue):
            self._token = _worker.calls.token
        return original(self)

    return build_ext_bot


# --- updaters ---------------------------------------------------------------------------------------


def _updater_start(original: Callable[..., AnyCoroutine]) -> Callable[..., AnyCoroutine]:
    signature = inspect.signature(original)

    def start(self: Updater, *args: Any, **kwargs: Any) -> AnyCoroutine:
        if _worker is None:
            return original(self, *args, **kwargs)
        return updater.start(_worker, self, signature.bind(self, *args, **kwargs).arguments)

    return start


def _updater_stop(original: Callable[..., AnyCoroutine]) -> Callable[..., AnyCoroutine]:
    async def stop(self: Updater) -> None:
        if _worker is not None:
            _worker.session.polling_stops(self)
        await original(self)

    return stop


# --- applications -----------------------------------------------------------------------------------


def _initialize(original: Callable[..., AnyCoroutine]) -> Callable[..., AnyCoroutine]:
    async def initialize(self: AnyApplication) -> None:
        if _worker is not None:
            _worker.session.initializes(self)
        await original(self)
        if _worker is not None:
            _worker.session.initialized(self)

    return initialize


def _start(original: Callable[..., AnyCoroutine]) -> Callable[..., AnyCoroutine]:
    async def start(self: AnyApplication) -> None:
        await original(self)
        if _worker is not None:
            _worker.session.started(self)

    return start


def _stop(original: Callable[..., AnyCoroutine]) -> Callable[..., AnyCoroutine]:
    async def stop(self: AnyApplication) -> None:
        if _worker is not None:
            _worker.session.stops(self)
        await original(self)

    return stop


def _run(original: Callable[..., None]) -> Callable[..., None]:
    def run(
        self: AnyApplication, updater_coroutine: Any, stop_signals: Any, *args: Any, **kwargs: Any
    ) -> None:
        if _worker is None:
            return original(self, updater_coroutine, stop_signals, *args, **kwargs)
        _worker.session.run_begins(self)
        try:
            return original(self, updater_coroutine, without_abort(stop_signals), *args, **kwargs)
        finally:
            _worker.session.run_ended()

    return run


def without_abort(stop_signals: Any) -> Any:
    """Return the signals that end ``run_polling``, less SIGABRT: it makes a hung worker dump its stacks."""
    if stop_signals is DEFAULT_NONE:
        return (signal.SIGINT, signal.SIGTERM)
    return [number for number in stop_signals or () if number != signal.SIGABRT]


def _stop_running(original: Callable[..., None]) -> Callable[..., None]:
    def stop_running(self: AnyApplication) -> None:
        if _worker is not None and self.running:
            _worker.session.loop_stops()
        original(self)

    return stop_running


def _raise_system_exit(original: Callable[[], Any]) -> Callable[[], Any]:
    def raise_system_exit() -> None:
        if _worker is not None:
            _worker.session.interrupted()
        original()

    return raise_system_exit


# --- updates ----------------------------------------------------------------------------------------


def _process_update(original: Callable[..., AnyCoroutine]) -> Callable[..., AnyCoroutine]:
    def process_update(self: BaseUpdateProcessor, update: object, coroutine: AnyCoroutine) -> AnyCoroutine:
        if _worker is None:
            return original(self, update, coroutine)
        return _worker.dispatcher.process_update(original, self, update, coroutine)

    return process_update


def _create_task(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_task(
        self: AnyApplication, coroutine: Any, update: object = None, *args: Any, **kwargs: Any
    ) -> Any:
        task = original(self, coroutine, update, *args, **kwargs)
        if _worker is not None:
            _worker.dispatcher.task_created(task, update)
        return task

    return create_task


def _process_error(original: Callable[..., AnyCoroutine]) -> Callable[..., AnyCoroutine]:
    def process_error(
        self: AnyApplication, update: object, error: Exception, job: Any = None, coroutine: Any = None
    ) -> AnyCoroutine:
        if _worker is None:
            return original(self, update, error, job, coroutine)
        return _worker.errors.process_error(original, self, update, error, job, coroutine)

    return process_error


# --- persistence ------------------------------------------------------------------------------------


def _update_persistence(original: Callable[..., AnyCoroutine]) -> Callable[..., AnyCoroutine]:
    def update_persistence(self: AnyApplication) -> AnyCoroutine:
        if _worker is None or self is not _worker.dispatcher.application:
            return original(self)
        return _worker.saving.run(original, self)

    return update_persistence


def _dump_file(original: Callable[..., None]) -> Callable[..., None]:
    def dump_file(self: Any, filepath: Path, data: object) -> None:
        if _worker is None:
            original(self, filepath, data)
        else:
            _worker.files.dump_file(self, filepath, data)

    return dump_file


def _dump_single_file(original: Callable[..., None]) -> Callable[..., None]:
    def dump_single_file(self: Any) -> None:
        if _worker is None:
            original(self)
        else:
            _worker.files.dump_single_file(self)

    return dump_single_file


_PATCHES: tuple[Patch, ...] = (
    (Bot, "__init__", _bot_init),
    (Bot, "_do_post", _do_post),
    (ApplicationBuilder, "_build_ext_bot", _build_ext_bot),
    (Updater, "start_polling", _updater_start),
    (Updater, "start_webhook", _updater_start),
    (Updater, "stop", _updater_stop),
    (Application, "initialize", _initialize),
    (Application, "start", _start),
    (Application, "stop", _stop),
    (Application, "_Application__run", _run),
    (Application, "stop_running", _stop_running),
    (Application, "_raise_system_exit", _raise_system_exit),
    (Application, "_Application__create_task", _create_task),
    (Application, "process_error", _process_error),
    (Application, "_Application__update_persistence", _update_persistence),
    (BaseUpdateProcessor, "process_update", _process_update),
    (PicklePersistence, "_dump_file", _dump_file),
    (PicklePersistence, "_dump_singlefile", _dump_single_file),
    *JOB_PATCHES,
)
