"""Updates as Telegram writes them, for measurements that deliver them themselves."""

import json

#: Of a message that was written some time in 2026; no measured bot lets messages expire.
_DATE_UTC = 1_790_000_000


def make_update(update_id: int, chat_id: int, text: str) -> bytes:
    """Return a private message as an Update object, 350 bytes and more."""
    person = {"id": chat_id, "first_name": "Ada", "last_name": "Lovelace", "username": f"ada{chat_id}"}
    message = {
        "message_id": update_id,
        "from": {**person, "is_bot": False, "language_code": "en"},
        "chat": {**person, "type": "private"},
        "date": _DATE_UTC,
        "text": text,
    }
    return json.dumps({"update_id": update_id, "message": message}, separators=(",", ":")).encode()
