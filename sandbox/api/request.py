"""A Bot API request: method, parameters and files, however they came."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox.api.errors import bad_request
from sandbox.state.bot import Bot

#: Parameters that are numbers, which arrive as text in a form.
INTEGERS = frozenset(
    {
        "chat_id",
        "from_chat_id",
        "direct_messages_topic_id",
        "limit",
        "max_connections",
        "message_id",
        "message_thread_id",
        "offset",
        "receiver_user_id",
        "reply_to_message_id",
        "sender_chat_id",
        "timeout",
        "user_id",
    }
)
#: Parameters that are text whatever they look like.
TEXTS = frozenset(
    {
        "caption",
        "description",
        "explanation",
        "first_name",
        "game_short_name",
        "last_name",
        "name",
        "payload",
        "provider_data",
        "question",
        "secret_token",
        "short_description",
        "start_parameter",
        "text",
        "title",
        "url",
        "vcard",
    }
)
TRUE_WORDS = frozenset({"true", "yes", "1"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a request."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One request of one bot.

    Attributes:
        method: the canonical name ("sendMessage").
        params: decoded: JSON as objects, numbers as numbers, an uploaded file as ``{"file", "size"}``.
        files: uploads by the name of their form field.
    """

    bot: Bot
    method: str
    params: dict[str, Any]
    files: dict[str, Upload] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a parameter as text, empty if it is missing."""
        value = self.params.get(name)
        return value if isinstance(value, str) else "" if value is None else str(value)

    def integer(self, name: str, default: int) -> int:
        """Return a parameter as a number; Telegram reads what is none as 0."""
        value = self.params.get(name, default)
        if isinstance(value, int):
            return int(value)
        try:
            return int(str(value))
        except ValueError:
            return 0

    def flag(self, name: str) -> bool:
        """Return a parameter as a truth value."""
        return str(self.params.get(name, "")).lower() in TRUE_WORDS

    def list_of(self, name: str) -> list[Any]:
        """Return a JSON array parameter, empty if it is missing or none."""
        value = self.params.get(name)
        return value if isinstance(value, list) else []

    def upload(self, name: str) -> Upload | None:
        """Return the file given for a parameter, directly or as ``attach://field``."""
        if name in self.files:
            return self.files[name]
        value = self.params.get(name)
        return self.attached(value) if isinstance(value, str) else None

    def attached(self, reference: str) -> Upload | None:
        """Return the file that ``attach://field`` refers to."""
        return (
            self.files.get(reference.removeprefix("attach://")) if reference.startswith("attach://") else None
        )


async def read_params(request: web.Request) -> tuple[dict[str, Any], dict[str, Upload]]:
    """Read the parameters of a request from its query and its body.

    Raises:
        ApiError: a JSON body that is not an object.
    """
    raw: dict[str, Any] = dict(request.query) if request.query_string else {}
    files: dict[str, Upload] = {}
    if request.body_exists:
        content_type = request.content_type
        if content_type == "application/json":
            try:
                body = json.loads(await request.read() or b"{}")
            except (ValueError, RecursionError):
                raise bad_request("can't parse JSON object") from None
            if not isinstance(body, dict):
                raise bad_request("can't parse JSON object")
            raw.update(body)
        elif content_type == "multipart/form-data":
            await _read_multipart(request, raw, files)
        else:
            text = (await request.read()).decode("utf-8", "replace")
            raw.update(parse_qsl(text, keep_blank_values=True))
    return decode_params(raw), files


def decode_params(raw: dict[str, Any]) -> dict[str, Any]:
    """Return parameters decoded: a form's text as the JSON or the number that it is."""
    return {name: _decode(name, value) for name, value in raw.items()}


async def _read_multipart(request: web.Request, raw: dict[str, Any], files: dict[str, Upload]) -> None:
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            content = value.file.read()
            files[name] = Upload(value.filename, content)
            raw[name] = {"file": value.filename, "size": len(content)}
        else:
            raw[name] = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else value


def _decode(name: str, value: Any) -> Any:
    if not isinstance(value, str) or name in TEXTS:
        return value
    if name in INTEGERS:
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() and len(digits) < 20 else value
    if value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
