"""docs/sandbox.md names what there is."""

import re
from pathlib import Path

from sandbox.control.bots import BotRoutes
from sandbox.control.injecting import InjectingRoutes
from sandbox.control.observing import ObservingRoutes
from sandbox.control.scripting import ScriptingRoutes
from sandbox.policy.faults import FaultKind
from sandbox.state.world import World

PAGE = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def test_the_table_of_requests_is_complete() -> None:
    world = World()
    parts = (BotRoutes(world), InjectingRoutes(world), ObservingRoutes(world), ScriptingRoutes(world))
    served = {f"{method} /control{path}" for part in parts for method, path, _ in part.endpoints()}
    assert set(re.findall(r"^\| `([A-Z]+ /control\S*)` \|", PAGE, re.MULTILINE)) == served


def test_the_table_of_faults_is_complete() -> None:
    faults = PAGE.partition("## Faults")[2]
    assert re.findall(r"^\| `(\w+)` \|", faults, re.MULTILINE) == [kind.value for kind in FaultKind]
