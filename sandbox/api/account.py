"""What a bot says about itself and reads back: getMe, names, descriptions, commands, files."""

from collections.abc import Callable
from typing import Any

from sandbox.api.errors import bad_request
from sandbox.api.request import Call
from sandbox.state.bot import Bot
from sandbox.state.world import World

Handler = Callable[[World, Call], Any]

DEFAULT_SCOPE = {"type": "default"}


def get_me(world: World, call: Call) -> dict[str, Any]:
    """Return the bot's own User."""
    return {
        **call.bot.describe(),
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": True,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


def _setter(method: str, names: tuple[str, ...]) -> Handler:
    def store(world: World, call: Call) -> bool:
        call.bot.profile[method] = {name: call.params[name] for name in names if name in call.params}
        return True

    return store


def _getter(setter: str, default: dict[str, Any]) -> Handler:
    def load(world: World, call: Call) -> dict[str, Any]:
        return {**default, **call.bot.profile.get(setter, {})}

    return load


def _key(scope: Any, language_code: str) -> str:
    return f"{scope}/{language_code}"


def _key_of(call: Call) -> str:
    return _key(call.params.get("scope", DEFAULT_SCOPE), call.text("language_code"))


def commands_of(bot: Bot, scope: Any = DEFAULT_SCOPE, language_code: str = "") -> list[Any]:
    """Return the commands a bot set for a scope and a language."""
    commands: list[Any] = bot.profile.get("commands", {}).get(_key(scope, language_code), [])
    return commands


def set_my_commands(world: World, call: Call) -> bool:
    """Store a list of commands for a scope and a language."""
    commands = call.list_of("commands")
    for command in commands:
        name = str(command.get("command", "")).removeprefix("/") if isinstance(command, dict) else ""
        if not name or len(name) > 32 or not name.replace("_", "").isalnum() or name != name.lower():
            raise bad_request("BOT_COMMAND_INVALID")
        if not command.get("description"):
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    call.bot.profile.setdefault("commands", {})[_key_of(call)] = commands
    return True


def delete_my_commands(world: World, call: Call) -> bool:
    """Forget the commands of a scope and a language."""
    call.bot.profile.get("commands", {}).pop(_key_of(call), None)
    return True


def get_my_commands(world: World, call: Call) -> list[Any]:
    """Return the commands of a scope and a language."""
    return commands_of(call.bot, call.params.get("scope", DEFAULT_SCOPE), call.text("language_code"))


def get_file(world: World, call: Call) -> dict[str, Any]:
    """Return where an uploaded file can be downloaded."""
    stored = world.files.by_id.get(call.text("file_id"))
    if stored is None:
        raise bad_request("wrong file_id or the file is temporarily unavailable")
    return {
        "file_id": stored.file_id,
        "file_unique_id": stored.unique_id,
        "file_size": len(stored.content),
        "file_path": stored.path,
    }


def upload_sticker_file(world: World, call: Call) -> dict[str, Any]:
    """Keep an uploaded sticker."""
    upload = call.upload("sticker")
    if upload is None:
        raise bad_request("there is no sticker file in the request")
    stored = world.files.add(upload.name, upload.content)
    return {"file_id": stored.file_id, "file_unique_id": stored.unique_id, "file_size": len(stored.content)}


def set_my_name(world: World, call: Call) -> bool:
    """Rename the bot; an empty name keeps the one it has."""
    call.bot.first_name = call.text("name") or call.bot.first_name
    return True


def get_my_name(world: World, call: Call) -> dict[str, Any]:
    """Return the bot's name."""
    return {"name": call.bot.first_name}


HANDLERS: dict[str, Handler] = {
    "getMe": get_me,
    "setMyName": set_my_name,
    "getMyName": get_my_name,
    "setMyDescription": _setter("setMyDescription", ("description",)),
    "getMyDescription": _getter("setMyDescription", {"description": ""}),
    "setMyShortDescription": _setter("setMyShortDescription", ("short_description",)),
    "getMyShortDescription": _getter("setMyShortDescription", {"short_description": ""}),
    "setMyCommands": set_my_commands,
    "deleteMyCommands": delete_my_commands,
    "getMyCommands": get_my_commands,
    "getFile": get_file,
    "uploadStickerFile": upload_sticker_file,
}
