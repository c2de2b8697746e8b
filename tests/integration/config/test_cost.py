"""What the master pays for settings, and that workers do not."""

import subprocess
import sys


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_the_package_by_itself_imports_nothing():
    assert "pydantic" not in modules_after("import brama.config")


def test_loading_needs_neither_the_bot_library_nor_a_loop():
    loaded = modules_after("import brama.config.loading, brama.config.checks")
    assert not loaded & {"telegram", "asyncio", "aiohttp", "httpx", "pydantic_settings"}
