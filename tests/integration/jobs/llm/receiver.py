"""A backend that is called back: ``python -m tests.integration.jobs.llm.receiver PORT JOURNAL [ANSWERS…]``.

It writes each request as a line of JSON, and answers with the statuses in turn, the last one from then on.
"""

import json
import sys
from pathlib import Path

from aiohttp import web


def main(port: int, journal: Path, answers: list[int]) -> None:
    async def receive(request: web.Request) -> web.Response:
        line = {
            "path": request.path_qs,
            "headers": dict(request.headers),
            "body": (await request.read()).decode(),
        }
        with journal.open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        headers = {"Location": "/elsewhere"} if 300 <= status < 400 else {}
        if status == 429:
            headers["Retry-After"] = "1"
        return web.Response(status=status, headers=headers, text="x" * 100_000)

    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{any:.*}", receive)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), [int(each) for each in sys.argv[3:]] or [200])
