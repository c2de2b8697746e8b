"""The control API's requests as data: the one table that both clients carry out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from sandbox.answers import (
    Blocked,
    BotInfo,
    BotState,
    ChatInfo,
    Done,
    FaultAdded,
    FaultInfo,
    Injected,
    InjectedUpdate,
    WorldState,
)
from sandbox.answers import SentCall as SentCall

R = TypeVar("R")


class SandboxError(Exception):
    """The sandbox refused a control request; the text is its reason."""


@dataclass(frozen=True, slots=True)
class ControlCall(Generic[R]):
    """One request of the control API.

    Attributes:
        result: the type its JSON answer is converted to.
        json: a JSON body, or None.
        raw: a verbatim body, or None.
        wait_s: how long the sandbox may take to answer on purpose, in seconds.
    """

    method: str
    path: str
    result: type[R]
    json: Any = None
    raw: bytes | None = None
    wait_s: float = 0.0


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def add_bot(
    token: str, username: str | None = None, first_name: str | None = None, first_update_id: int | None = None
) -> ControlCall[BotInfo]:
    """Make a bot known, rename it, or move its update ids to start at ``first_update_id``."""
    body = _given(token=token, username=username, first_name=first_name, first_update_id=first_update_id)
    return ControlCall("POST", "/bots", BotInfo, body)


def bots() -> ControlCall[list[BotInfo]]:
    """List the bots that called, were registered or have updates waiting."""
    return ControlCall("GET", "/bots", list[BotInfo])


def revoke(bot: int) -> ControlCall[BotInfo]:
    """Answer 401 to the tokens seen so far (to all, when none was seen); a new token of the same id works."""
    return ControlCall("POST", f"/bots/{bot}/revoke", BotInfo)


def restore(bot: int) -> ControlCall[BotInfo]:
    """Accept every token of the bot again."""
    return ControlCall("POST", f"/bots/{bot}/restore", BotInfo)


def send_messages(
    bot: int, chat_id: int, text: str, count: int = 1, user_id: int | None = None
) -> ControlCall[Injected]:
    """Write to a bot as a person, ``count`` times; ``{n}`` in the text becomes 1, 2, ... count."""
    body = _given(chat_id=chat_id, text=text, count=count, user_id=user_id)
    return ControlCall("POST", f"/bots/{bot}/messages", Injected, body)


def send_batch(batch: Iterable[Mapping[str, Any]]) -> ControlCall[list[Injected]]:
    """Write to many bots: objects with ``bot``, ``chat_id``, ``text`` and maybe ``count``, ``user_id``."""
    return ControlCall("POST", "/messages", list[Injected], list(batch))


def press_button(
    bot: int, chat_id: int, message_id: int, data: str, user_id: int | None = None
) -> ControlCall[Injected]:
    """Press an inline button: a callback_query update."""
    body = _given(chat_id=chat_id, message_id=message_id, data=data, user_id=user_id)
    return ControlCall("POST", f"/bots/{bot}/press", Injected, body)


def inject(bot: int, updates: Sequence[Mapping[str, Any]]) -> ControlCall[Injected]:
    """Queue Update objects as they are, with or without ``update_id``."""
    return ControlCall("POST", f"/bots/{bot}/updates", Injected, list(updates))


def inject_raw(bot: int, body: bytes, update_id: int | None = None) -> ControlCall[Injected]:
    """Queue bytes as one element of the getUpdates array, whatever they are; confirmed by ``update_id``."""
    query = "" if update_id is None else f"?update_id={update_id}"
    return ControlCall("POST", f"/bots/{bot}/raw{query}", Injected, raw=body)


def updates(bot: int) -> ControlCall[list[InjectedUpdate]]:
    """Tell what became of each update of a bot, in order of arrival."""
    return ControlCall("GET", f"/bots/{bot}/updates", list[InjectedUpdate])


def sent(
    bot: int | None = None, after: int = 0, wait_s: float = 0.0, count: int = 1, method: str | None = None
) -> ControlCall[list[SentCall]]:
    """Return the calls past index ``after`` of a bot, or of all.

    Args:
        wait_s: wait so long, in seconds, until there are ``count`` of them; then return what is there.
        method: those of one method only.
    """
    query = urlencode(_given(after=after, wait_s=wait_s, count=count, method=method))
    path = "/sent" if bot is None else f"/bots/{bot}/sent"
    return ControlCall("GET", f"{path}?{query}", list[SentCall], wait_s=wait_s)


def state(bot: int) -> ControlCall[BotState]:
    """Return the state of a bot's intake."""
    return ControlCall("GET", f"/bots/{bot}/state", BotState)


def world_state() -> ControlCall[WorldState]:
    """Return the state of all bots' intake, and the sandbox's CPU time."""
    return ControlCall("GET", "/state", WorldState)


def chat(bot: int, chat_id: int, after: int = -1, wait_s: float = 0.0) -> ControlCall[ChatInfo]:
    """Return a chat, waiting up to ``wait_s`` seconds until its version is not ``after`` any more."""
    query = urlencode({"after": after, "wait_s": wait_s})
    return ControlCall("GET", f"/bots/{bot}/chats/{chat_id}?{query}", ChatInfo, wait_s=wait_s)


def block(bot: int, chat_id: int, blocked: bool = True) -> ControlCall[ChatInfo]:
    """Have the person of a chat block the bot (it gets 403 there), or no longer."""
    return ControlCall("POST", f"/bots/{bot}/chats/{chat_id}/block", ChatInfo, {"blocked": blocked})


def add_fault(
    kind: str,
    bot: int | None = None,
    method: str | None = None,
    *,
    status: int | None = None,
    seconds: float | None = None,
    count: int = 1,
    applied: bool = False,
    headers: Mapping[str, str] | None = None,
    description: str | None = None,
) -> ControlCall[FaultAdded]:
    """Script a fault: hang, drip, reset, status, conflict, retry_after, garbage, truncate or half_open.

    Args:
        bot: numeric id, None for all bots.
        method: Bot API method, None for all.
        seconds: how long a hang, drip or half_open lasts (None: for ever, a drip 5 s); ``retry_after``.
        count: how often; -1 until cleared.
        applied: the request has its effect first.
    """
    body = _given(
        kind=str(kind),
        bot=bot,
        method=method,
        status=status,
        seconds=seconds,
        count=count,
        applied=applied,
        headers=None if headers is None else dict(headers),
        description=description,
    )
    return ControlCall("POST", "/faults", FaultAdded, body)


def faults() -> ControlCall[list[FaultInfo]]:
    """List the scripted faults and how often each happened."""
    return ControlCall("GET", "/faults", list[FaultInfo])


def clear_faults() -> ControlCall[Done]:
    """Clear all faults; requests that hang now go on hanging."""
    return ControlCall("DELETE", "/faults", Done)


def remove_fault(fault_id: int) -> ControlCall[Done]:
    """Clear one fault."""
    return ControlCall("DELETE", f"/faults/{fault_id}", Done)


def set_limits(**limits: float | bool | None) -> ControlCall[Done]:
    """Change limits, see ``NewLimits`` in ``sandbox.control.payloads``; None is no limit."""
    return ControlCall("POST", "/limits", Done, limits)


def block_webhook(bot: int | None = None, blocked: bool = True) -> ControlCall[Blocked]:
    """Have deliveries to the webhook of a bot time out unsent, or no longer; None: those of all bots."""
    path = "/webhook/block" if bot is None else f"/bots/{bot}/webhook/block"
    return ControlCall("POST", path, Blocked, {"blocked": blocked})


def reset() -> ControlCall[Done]:
    """Forget all bots, faults, limits and logs."""
    return ControlCall("POST", "/reset", Done)
