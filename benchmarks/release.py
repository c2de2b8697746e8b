"""The program that a chaos run executes: behind a link, as a deployment switches releases."""

import sys
from pathlib import Path

_SCRIPT = "#!{python}\n{before}from brama.console import main\nmain()\n"
_BROKEN = "raise SystemExit('this release does not start')\n"


class Release:
    """Two installations in a folder, one of which does not start, and a link to either."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._link = folder / "current"
        for name, before in (("good", ""), ("broken", _BROKEN)):
            script = folder / name / "brama-supervisor"
            script.parent.mkdir()
            script.write_text(_SCRIPT.format(python=sys.executable, before=before))
            script.chmod(0o755)
        self.switch("good")

    @property
    def command(self) -> str:
        """What is executed."""
        return str(self._link / "brama-supervisor")

    def switch(self, name: str) -> None:
        """Let the link lead to ``good`` or ``broken``."""
        following = self._link.with_name("next")
        following.symlink_to(name)
        following.replace(self._link)
