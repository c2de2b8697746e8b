"""Clients of the control API: ``SandboxClient`` for asyncio, ``SandboxControl`` for everyone else."""

import http.client
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from sandbox import calls
from sandbox.calls import ControlCall, SandboxError

P = ParamSpec("P")
R = TypeVar("R")

#: How long the sandbox may take beyond the wait it was asked for, in seconds.
PATIENCE_S = 30.0


class _Blocking(Generic[P, R]):
    def __init__(self, make: Callable[P, ControlCall[R]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __get__(
        self, client: "SandboxControl", owner: "type[SandboxControl] | None" = None
    ) -> Callable[P, R]:
        def perform(*args: P.args, **kwargs: P.kwargs) -> R:
            return client.run(self._make(*args, **kwargs))

        return perform


class _Awaitable(Generic[P, R]):
    def __init__(self, make: Callable[P, ControlCall[R]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __get__(
        self, client: "SandboxClient", owner: "type[SandboxClient] | None" = None
    ) -> Callable[P, Awaitable[R]]:
        def perform(*args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
            return client.run(self._make(*args, **kwargs))

        return perform


class SandboxControl:
    """Blocking client; a connection per request, so threads may share it.

    Each method is the one of the same name in ``sandbox.calls`` and returns that call's result.

    Raises:
        SandboxError: the sandbox refused a request.
        OSError: it cannot be reached.
    """

    add_bot = _Blocking(calls.add_bot)
    bots = _Blocking(calls.bots)
    revoke = _Blocking(calls.revoke)
    restore = _Blocking(calls.restore)
    send_messages = _Blocking(calls.send_messages)
    send_batch = _Blocking(calls.send_batch)
    press_button = _Blocking(calls.press_button)
    inject = _Blocking(calls.inject)
    inject_raw = _Blocking(calls.inject_raw)
    updates = _Blocking(calls.updates)
    sent = _Blocking(calls.sent)
    state = _Blocking(calls.state)
    world_state = _Blocking(calls.world_state)
    chat = _Blocking(calls.chat)
    block = _Blocking(calls.block)
    add_fault = _Blocking(calls.add_fault)
    faults = _Blocking(calls.faults)
    clear_faults = _Blocking(calls.clear_faults)
    remove_fault = _Blocking(calls.remove_fault)
    set_limits = _Blocking(calls.set_limits)
    block_webhook = _Blocking(calls.block_webhook)
    reset = _Blocking(calls.reset)

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self.base_url = base_url.rstrip("/")
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80

    def run(self, call: ControlCall[R]) -> R:
        """Carry out one call."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=call.wait_s + PATIENCE_S)
        try:
            connection.request(call.method, f"/control{call.path}", _body(call), _headers(call))
            response = connection.getresponse()
            return _result(call, response.status, response.read())
        finally:
            connection.close()


class SandboxClient:
    """Client for asyncio; use it as an asynchronous context manager, or ``close()`` it.

    Each method is the one of the same name in ``sandbox.calls`` and awaits that call's result.

    Raises:
        SandboxError: the sandbox refused a request.
        aiohttp.ClientError: it cannot be reached.
    """

    add_bot = _Awaitable(calls.add_bot)
    bots = _Awaitable(calls.bots)
    revoke = _Awaitable(calls.revoke)
    restore = _Awaitable(calls.restore)
    send_messages = _Awaitable(calls.send_messages)
    send_batch = _Awaitable(calls.send_batch)
    press_button = _Awaitable(calls.press_button)
    inject = _Awaitable(calls.inject)
    inject_raw = _Awaitable(calls.inject_raw)
    updates = _Awaitable(calls.updates)
    sent = _Awaitable(calls.sent)
    state = _Awaitable(calls.state)
    world_state = _Awaitable(calls.world_state)
    chat = _Awaitable(calls.chat)
    block = _Awaitable(calls.block)
    add_fault = _Awaitable(calls.add_fault)
    faults = _Awaitable(calls.faults)
    clear_faults = _Awaitable(calls.clear_faults)
    remove_fault = _Awaitable(calls.remove_fault)
    set_limits = _Awaitable(calls.set_limits)
    block_webhook = _Awaitable(calls.block_webhook)
    reset = _Awaitable(calls.reset)

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def run(self, call: ControlCall[R]) -> R:
        """Carry out one call."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        timeout = aiohttp.ClientTimeout(total=call.wait_s + PATIENCE_S)
        url = f"{self.base_url}/control{call.path}"
        async with self._session.request(
            call.method, url, data=_body(call), headers=_headers(call), timeout=timeout
        ) as response:
            return _result(call, response.status, await response.read())


def _body(call: ControlCall[Any]) -> bytes | None:
    if call.raw is not None:
        return call.raw
    return None if call.json is None else json.dumps(call.json).encode("ascii")


def _headers(call: ControlCall[Any]) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream" if call.raw is not None else "application/json"}


def _result(call: ControlCall[R], status: int, body: bytes) -> R:
    answer = json.loads(body)
    if status != 200:
        raise SandboxError(f"{call.method} {call.path.partition('?')[0]}: {answer.get('error', status)}")
    return msgspec.convert(answer, call.result)
