"""Wires a sandbox together."""

import asyncio
import ssl

from aiohttp import web

from sandbox.api.dispatch import Dispatcher
from sandbox.api.http import BotApi, Report
from sandbox.api.replying import Replies
from sandbox.chat.page import add_page
from sandbox.control.routes import add_control
from sandbox.state.world import World
from sandbox.webhooks.courier import Courier

#: Largest request body; Telegram takes files of 50 MB.
MAX_BODY_BYTES = 64 * 1024 * 1024


def build_app(world: World, listening_host: str, report: Report | None) -> web.Application:
    """Return the HTTP application of one sandbox; refused calls are told to ``report``."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    BotApi(world, Dispatcher(world), report).add_routes(app)
    add_control(app, world, listening_host)
    add_page(app)
    return app


def build_courier(
    world: World, tasks: asyncio.TaskGroup, roots: ssl.SSLContext, report: Report | None, *, any_host: bool
) -> Courier:
    """Return what delivers a world's updates to webhooks, from now on."""
    replies = Replies(Dispatcher(world), report)
    courier = Courier(world, tasks, roots, replies.carry_out, any_host=any_host)
    world.deliver_for = courier.deliver_for
    return courier
