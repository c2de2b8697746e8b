"""The control API: injects updates, scripts faults, tells what bots sent."""

from aiohttp import web

from sandbox.control.bots import BotRoutes
from sandbox.control.http import guarded
from sandbox.control.injecting import InjectingRoutes
from sandbox.control.observing import ObservingRoutes
from sandbox.control.scripting import ScriptingRoutes
from sandbox.state.world import World


def add_control(app: web.Application, world: World, listening_host: str) -> None:
    """Put the control API of a world at ``/control``."""
    for part in (BotRoutes(world), InjectingRoutes(world), ObservingRoutes(world), ScriptingRoutes(world)):
        for method, path, route in part.endpoints():
            app.router.add_route(method, f"/control{path}", guarded(route, listening_host))
