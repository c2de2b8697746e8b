"""Wires a sandbox together."""

from aiohttp import web

from sandbox.api.dispatch import Dispatcher
from sandbox.api.http import BotApi, Report
from sandbox.chat.page import add_page
from sandbox.control.routes import add_control
from sandbox.state.world import World

#: Largest request body; Telegram takes files of 50 MB.
MAX_BODY_BYTES = 64 * 1024 * 1024


def build_app(world: World, listening_host: str, report: Report | None) -> web.Application:
    """Return the HTTP application of one sandbox; refused calls are told to ``report``."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    BotApi(world, Dispatcher(world), report).add_routes(app)
    add_control(app, world, listening_host)
    add_page(app)
    return app
