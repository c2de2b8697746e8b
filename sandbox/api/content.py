"""What a message of each kind holds."""

import mimetypes
from collections.abc import Callable
from typing import Any
from zlib import crc32

from sandbox.api.errors import bad_request
from sandbox.api.formatting import formatted, message_caption, message_text
from sandbox.api.request import Call, Upload
from sandbox.state.world import World

Content = dict[str, Any]

SIDE = 320


def file_object(world: World, call: Call, name: str) -> Content:
    """Return the identity of a file given as an upload, an address or a file id.

    Raises:
        ApiError: none is given.
    """
    upload = call.upload(name)
    value = call.params.get(name)
    if (upload is None and not (isinstance(value, str) and value)) or _dangling(call, value):
        raise bad_request(f"there is no {name.replace('_', ' ')} in the request")
    return _identity(world, upload, value)


def _dangling(call: Call, value: Any) -> bool:
    return isinstance(value, str) and value.startswith("attach://") and call.attached(value) is None


def _identity(world: World, upload: Upload | None, value: Any) -> Content:
    if upload is not None:
        stored = world.files.add(upload.name, upload.content)
        return {
            "file_id": stored.file_id,
            "file_unique_id": stored.unique_id,
            "file_size": len(stored.content),
        }
    reference = str(value)
    unique_id = f"{crc32(reference.encode('utf-8', 'replace')):08x}"
    is_address = reference.startswith(("http://", "https://"))
    return {"file_id": f"sandbox-{unique_id}" if is_address else reference, "file_unique_id": unique_id}


def photo_sizes(identity: Content) -> list[Content]:
    """Return an image in the sizes Telegram makes of it."""
    small = {
        **identity,
        "file_id": f"{identity['file_id']}-s",
        "file_unique_id": f"{identity['file_unique_id']}s",
    }
    return [{**small, "width": 90, "height": 90}, {**identity, "width": SIDE, "height": SIDE}]


def _file(kind: str, extra: Content, *, captioned: bool = True) -> Callable[[World, Call], Content]:
    def build(world: World, call: Call) -> Content:
        described = {**file_object(world, call, kind), **extra}
        for name in ("duration", "width", "height", "length"):
            if name in extra and name in call.params:
                described[name] = call.integer(name, 0)
        for name in ("performer", "title", "emoji"):
            if name in call.params:
                described[name] = call.text(name)
        upload = call.upload(kind)
        if upload is not None and kind in ("document", "audio", "video", "animation"):
            described["file_name"] = upload.name
            described["mime_type"] = mimetypes.guess_type(upload.name)[0] or "application/octet-stream"
        content: Content = {kind: described}
        if kind == "animation":
            content["document"] = {key: described[key] for key in ("file_id", "file_unique_id")}
        return {**content, **(message_caption(call) if captioned else {})}

    return build


def _photo(world: World, call: Call) -> Content:
    return {"photo": photo_sizes(file_object(world, call, "photo")), **message_caption(call)}


def _text(world: World, call: Call) -> Content:
    return message_text(call)


def coordinates(call: Call) -> Content:
    """Return the place a call names.

    Raises:
        ApiError: it names none, or none on Earth.
    """
    try:
        latitude, longitude = float(call.text("latitude")), float(call.text("longitude"))
    except ValueError:
        raise bad_request("location must be specified") from None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise bad_request("wrong location specified")
    return {"latitude": latitude, "longitude": longitude}


def _location(world: World, call: Call) -> Content:
    location = coordinates(call)
    if call.integer("live_period", 0):
        location["live_period"] = call.integer("live_period", 0)
    return {"location": location}


def _required(call: Call, *names: str) -> Content:
    for name in names:
        if not call.text(name):
            raise bad_request(f'parameter "{name}" is required')
    return {name: call.text(name) for name in names}


def _venue(world: World, call: Call) -> Content:
    location = coordinates(call)
    return {"venue": {"location": location, **_required(call, "title", "address")}, "location": location}


def _contact(world: World, call: Call) -> Content:
    contact = _required(call, "phone_number", "first_name")
    if call.text("last_name"):
        contact["last_name"] = call.text("last_name")
    return {"contact": contact}


def _dice(world: World, call: Call) -> Content:
    emoji = call.text("emoji") or "🎲"
    faces = {"🎲": 6, "🎯": 6, "🎳": 6, "🏀": 5, "⚽": 5, "🎰": 64}.get(emoji.removesuffix("\ufe0f"))
    if faces is None:
        raise bad_request("wrong dice emoji specified")
    # Dice that fall the same in every run: the next throw follows from the number of those before.
    return {"dice": {"emoji": emoji, "value": call.bot.calls["sendDice"] * 5 % faces + 1}}


def poll_object(call: Call) -> Content:
    """Return the poll a call describes, with nobody's vote yet."""
    question, entities = formatted(
        call.text("question"), call.text("question_parse_mode"), call.list_of("question_entities")
    )
    if not question.strip():
        raise bad_request("poll question must be non-empty")
    options = [
        option.get("text") if isinstance(option, dict) else option for option in call.list_of("options")
    ]
    if not all(isinstance(option, str) and option for option in options):
        raise bad_request("poll option must be non-empty")
    if not 1 <= len(options) <= 12:
        raise bad_request(
            "poll must have at least 2 option" if not options else "poll can't have more than 12 options"
        )
    return {
        "id": f"{call.bot.bot_id}{call.bot.calls['sendPoll']:06d}",
        "question": question,
        **({"question_entities": entities} if entities else {}),
        "options": [
            {"persistent_id": str(number), "text": option, "voter_count": 0}
            for number, option in enumerate(options)
        ],
        "total_voter_count": 0,
        "is_closed": call.flag("is_closed"),
        "is_anonymous": "is_anonymous" not in call.params or call.flag("is_anonymous"),
        "type": call.text("type") or "regular",
        "allows_multiple_answers": call.flag("allows_multiple_answers"),
        "allows_revoting": call.flag("allows_revoting"),
        "members_only": call.flag("members_only"),
    }


def _poll(world: World, call: Call) -> Content:
    return {"poll": poll_object(call)}


def _game(world: World, call: Call) -> Content:
    name = _required(call, "game_short_name")["game_short_name"]
    photo = photo_sizes({"file_id": f"sandbox-game-{name}", "file_unique_id": name})
    return {"game": {"title": name, "description": name, "photo": photo}}


def _invoice(world: World, call: Call) -> Content:
    _required(call, "title", "description", "payload", "currency")
    amounts = [price.get("amount") if isinstance(price, dict) else None for price in call.list_of("prices")]
    whole = [amount for amount in amounts if isinstance(amount, int)]
    if not amounts or len(whole) < len(amounts):
        raise bad_request("can't parse prices JSON object")
    return {
        "invoice": {
            "title": call.text("title"),
            "description": call.text("description"),
            "start_parameter": call.text("start_parameter"),
            "currency": call.text("currency"),
            "total_amount": sum(whole),
        }
    }


def checklist(world: World, call: Call) -> Content:
    """Return the checklist a call describes.

    Raises:
        ApiError: it describes none.
    """
    given = call.params.get("checklist")
    if not isinstance(given, dict) or not isinstance(given.get("tasks"), list):
        raise bad_request("can't parse checklist JSON object")
    tasks = [
        {"id": task.get("id"), "text": task.get("text", "")}
        for task in given["tasks"]
        if isinstance(task, dict)
    ]
    return {"checklist": {"title": given.get("title", ""), "tasks": tasks}}


def _paid_media(world: World, call: Call) -> Content:
    media = call.list_of("media")
    if not media:
        raise bad_request("there are no media in the request")
    previews = [{"type": "preview", "width": SIDE, "height": SIDE} for _ in media]
    return {
        "paid_media": {"star_count": call.integer("star_count", 1), "paid_media": previews},
        **message_caption(call),
    }


#: Method that sends one message -> what the message holds.
CONTENTS: dict[str, Callable[[World, Call], Content]] = {
    "sendMessage": _text,
    "sendPhoto": _photo,
    "sendLivePhoto": _file("live_photo", {"width": SIDE, "height": SIDE, "duration": 1}),
    "sendAudio": _file("audio", {"duration": 1}),
    "sendDocument": _file("document", {}),
    "sendVideo": _file("video", {"width": SIDE, "height": SIDE, "duration": 1}),
    "sendAnimation": _file("animation", {"width": SIDE, "height": SIDE, "duration": 1}),
    "sendVoice": _file("voice", {"duration": 1}),
    "sendVideoNote": _file("video_note", {"length": SIDE, "duration": 1}, captioned=False),
    "sendSticker": _file(
        "sticker",
        {"type": "regular", "width": 512, "height": 512, "is_animated": False, "is_video": False},
        captioned=False,
    ),
    "sendLocation": _location,
    "sendVenue": _venue,
    "sendContact": _contact,
    "sendDice": _dice,
    "sendPoll": _poll,
    "sendGame": _game,
    "sendInvoice": _invoice,
    "sendChecklist": checklist,
    "sendPaidMedia": _paid_media,
}
