"""Whatever a bot sends, it gets an answer or a refusal, never a failure of the server."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.api.dispatch import HANDLERS, Dispatcher
from sandbox.api.errors import ApiError
from sandbox.api.request import Call, Upload
from sandbox.state.people import write
from sandbox.state.world import World

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
#: A call that most methods accept.
GOOD: dict[str, Any] = {
    **dict.fromkeys(("title", "description", "payload", "currency", "address"), "x"),
    **dict.fromkeys(("phone_number", "first_name", "game_short_name", "callback_query_id"), "x"),
    **dict.fromkeys(("audio", "document", "video", "voice", "sticker", "animation"), "attach://upload"),
    "action": "typing",
    "chat_id": 7,
    "checklist": {"title": "x", "tasks": [{"id": 1, "text": "x"}]},
    "commands": [{"command": "start", "description": "x"}],
    "from_chat_id": 7,
    "latitude": 1.0,
    "longitude": 2.0,
    "message_id": 2,
    "message_ids": [2],
    "options": ["a"],
    "photo": "attach://upload",
    "prices": [{"amount": 1}],
    "question": "x",
    "reaction": [{"emoji": "x"}],
    "text": "x",
}
#: What may go wrong in a way that still looks like it should.
SHAPED: dict[str, st.SearchStrategy[Any]] = {
    "chat_id": st.sampled_from([-5, "@channel", 7.5]),
    "checklist": st.fixed_dictionaries({"tasks": st.lists(JSON, max_size=2)}, optional={"title": JSON}),
    "commands": st.lists(st.fixed_dictionaries({"command": JSON}) | JSON, max_size=2),
    "duration": JSON,
    "emoji": JSON,
    "entities": st.lists(JSON, max_size=2),
    "latitude": st.floats(),
    "media": st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["photo", "video", "other"]) | JSON},
            optional={"media": st.just("attach://upload") | JSON, "caption": JSON, "duration": JSON},
        ),
        max_size=3,
    ),
    "message_id": st.sampled_from([1, 3, 99]),
    "message_ids": st.lists(st.sampled_from([1, 2, 99]) | JSON, max_size=3),
    "message_thread_id": JSON,
    "options": st.lists(st.text(max_size=5) | JSON, max_size=3),
    "parse_mode": st.sampled_from(["HTML", "MarkdownV2", "Markdown", ""]),
    "photo": st.just("attach://gone"),
    "prices": st.lists(st.fixed_dictionaries({"amount": JSON}) | JSON, max_size=2),
    "reaction": st.lists(st.fixed_dictionaries({"emoji": JSON}) | JSON, max_size=2),
    "reply_markup": st.fixed_dictionaries(
        {},
        optional={
            "inline_keyboard": st.lists(st.lists(st.dictionaries(st.sampled_from(["text", "url"]), JSON)))
            | st.lists(JSON)
            | JSON,
            "keyboard": JSON,
        },
    ),
    "reply_parameters": st.fixed_dictionaries({}, optional={"message_id": JSON}),
    "scope": JSON,
    "text": st.text(max_size=20),
    "url": st.sampled_from(["", "https://[", "https://e.org:99999", "http://127.0.0.1:1", "https://e.org"]),
    "user_id": JSON,
}
WRONG = st.sampled_from(sorted(GOOD | SHAPED)).flatmap(
    lambda name: st.tuples(st.just(name), SHAPED.get(name, JSON) | JSON)
)
PARAMS = st.lists(WRONG, max_size=3).map(lambda wrong: GOOD | dict(wrong))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(HANDLERS)), PARAMS)
def test_any_call_is_answered_or_refused(method: str, params: dict[str, Any]) -> None:
    world = World()
    bot = world.bot(1001)
    write(world, bot, 7, "a person's message")
    files = {"upload": Upload("name.png", b"content")}

    async def run() -> bytes:
        for name in ("sendMessage", "sendPoll"):
            own = {"chat_id": 7, "text": "own", "question": "?", "options": ["a"]}
            await Dispatcher(world).call(Call(bot, name, own), never)
        return await Dispatcher(world).call(Call(bot, method, params, files), never)

    with suppress(ApiError):
        assert json.loads(asyncio.run(run()))["ok"] is True


async def never(poll: object) -> Any:
    raise AssertionError("only getUpdates waits")
