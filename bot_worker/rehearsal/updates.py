"""Updates as Telegram sends them, one of each common kind.

Runs in: a child of the zygote, while that warms up.
"""

import json
from typing import Any

from bot_worker.rehearsal.stub_api import BOT, CHAT

_USER = {"id": 10, "is_bot": False, "first_name": "Warm", "language_code": "en"}


def updates(number: int) -> list[tuple[int, bytes]]:
    """Return (update_id, JSON) of each kind; the ids of different ``number`` differ."""
    message = {"message_id": number, "date": 1700000000, "chat": CHAT, "from": _USER}
    command = {"type": "bot_command", "offset": 0, "length": 6}
    photo = {"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}
    own = message | {"from": BOT, "text": "hello"}
    bodies: list[dict[str, Any]] = [
        {"message": message | {"text": "/start", "entities": [command]}},
        {"message": message | {"text": "hello wörld"}},
        {"message": message | {"text": "123", "reply_to_message": own}},
        {"edited_message": message | {"text": "hello again", "edit_date": 1700000001}},
        {"message": message | {"photo": [photo], "caption": "a picture"}},
        {"callback_query": {"id": "1", "from": _USER, "chat_instance": "1", "data": "one", "message": own}},
        {"inline_query": {"id": "1", "from": _USER, "query": "", "offset": ""}},
    ]
    ids = range(number * len(bodies), (number + 1) * len(bodies))
    return [
        (update_id, json.dumps({"update_id": update_id} | body).encode())
        for update_id, body in zip(ids, bodies, strict=True)
    ]
