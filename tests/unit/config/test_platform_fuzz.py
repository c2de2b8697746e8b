"""No answer of the platform, however odd, does anything but be taken or be refused in words."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from brama.config.models import BotSection
from brama.config.platform_bots import with_platform_bots
from brama.config.settings import Settings
from brama.errors import ConfigError
from tests.unit.config.project import made_up_token

ROOT = Path(__file__).parent
SETTINGS = Settings(
    config_path=ROOT / "brama.yaml", project_root=ROOT, state_dir=ROOT / "state", logs_dir=ROOT / "logs"
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
#: Right for some key, so that an entry can be wrong in one place alone.
LIKELY = st.sampled_from(
    [
        "shop",
        made_up_token(1),
        "conftest.py",
        "json:loads",
        {"A": 1},
        ["message"],
        ["-v", 1],
        "polling",
        "webhook",
        True,
        {"memory": "1MB"},
        {"budget": 1},
        "5m",
        {},
    ]
)
ENTRIES = st.dictionaries(st.sampled_from([*BotSection.model_fields, "other"]), LIKELY | VALUES)
GOOD = st.builds(
    lambda number: {"id": f"b{number}", "token": made_up_token(number), "script": "conftest.py"},
    st.integers(2, 9),
)


@given(VALUES | st.fixed_dictionaries({"bots": st.lists(ENTRIES | GOOD | VALUES, max_size=4)}))
def test_an_answer_is_taken_or_refused(answer: Any):
    with suppress(ConfigError):
        together, warnings = with_platform_bots(SETTINGS, answer, {})
        assert len(together.bots) + len(warnings) == len(answer["bots"])
        assert len({bot.id for bot in together.bots}) == len(together.bots)
        assert all(bot.origin == "platform" and bot.cwd.is_absolute() for bot in together.bots)


@given(st.lists(ENTRIES, min_size=1, max_size=3))
def test_a_refusal_is_lines_that_name_their_place_and_no_token(entries: list[Any]):
    lines = refusal({"bots": entries}).splitlines()
    assert all(line.startswith("bots_source: ") for line in lines)
    assert made_up_token(1) not in "".join(lines)


def refusal(answer: Any) -> str:
    """Return why ``answer`` is refused, nothing if it is taken."""
    try:
        with_platform_bots(SETTINGS, answer, {})
    except ConfigError as error:
        return str(error)
    return ""
