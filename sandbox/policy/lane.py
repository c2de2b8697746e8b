"""Which updates must reach a webhook one after the other.

The rules are those of Telegram's open server (``Client::add_update``): messages, edited ones too, wait for
each other by chat; inline queries, button presses and payments by person, each kind for itself; poll results
and answers by poll. What has no such owner waits for nothing.
"""

import msgspec

#: A queue of one webhook: what it is of, and whose it is.
Lane = tuple[str, int | str]

MESSAGES = frozenset({"message", "edited_message", "channel_post", "edited_channel_post"})
POLLS = frozenset({"poll", "poll_answer"})
#: Kinds that wait for each other by person, and the name they do so under.
PERSONAL = {
    "inline_query": "inline_query",
    "chosen_inline_result": "chosen_inline_result",
    "callback_query": "callback_query",
    "shipping_query": "payment",
    "pre_checkout_query": "payment",
}


class _Who(msgspec.Struct):
    id: int


class _Content(msgspec.Struct, rename={"sender": "from"}):
    id: int | str | None = None
    poll_id: str | None = None
    chat: _Who | None = None
    sender: _Who | None = None
    user: _Who | None = None


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CONTENT = msgspec.json.Decoder(_Content)


def lane_of(body: bytes) -> Lane | None:
    """Return the lane of an update's JSON, None if it waits for nothing or cannot be read."""
    try:
        fields = _FIELDS.decode(body)
        kind = next((name for name in fields if name != "update_id"), "")
        if not kind:
            return None
        content = _CONTENT.decode(fields[kind])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if kind in MESSAGES:
        return None if content.chat is None else ("chat", content.chat.id)
    if kind in POLLS:
        poll_id = content.id if kind == "poll" else content.poll_id
        return None if poll_id is None else ("poll", poll_id)
    if kind in PERSONAL:
        return None if content.sender is None else (PERSONAL[kind], content.sender.id)
    owner = content.chat or content.sender or content.user
    return None if owner is None else (kind, owner.id)
