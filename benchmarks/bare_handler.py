"""The least a webhook can be: aiohttp on uvloop with one handler that reads the body and answers 200.

``python -m benchmarks.bare_handler PORT`` serves until SIGTERM.
"""

import sys

import uvloop
from aiohttp import web


async def take(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


def main() -> None:
    """Serve the port named on the command line."""
    app = web.Application()
    app.router.add_post("/webhook/{bot}", take)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main()
