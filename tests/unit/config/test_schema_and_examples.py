"""The data in config/: the schema is the models', the examples are accepted."""

import json
import re
from pathlib import Path

import pytest
import yaml
from telegram.constants import UpdateType

from brama.config.checks import warnings
from brama.config.json_schema import answer_schema_text, schema_text
from brama.config.loading import load_settings
from brama.config.models import BotSection
from brama.config.overlay import OWN_NAMES
from brama.config.settings import Settings
from brama.update_kinds import UPDATE_KINDS
from tests.unit.config.project import made_up_token

CONFIG = Path(__file__).parents[3] / "config"
EXAMPLES = sorted(CONFIG.glob("examples/*.yaml"))


def test_the_schema_is_that_of_the_models():
    command = "python -m brama.config.json_schema config"
    assert (CONFIG / "brama.schema.json").read_text() == schema_text(), f"run {command}"
    assert (CONFIG / "bots_source.schema.json").read_text() == answer_schema_text(), f"run {command}"


def test_the_schema_of_the_answer_knows_what_the_reader_knows():
    schema = json.loads(answer_schema_text())
    bot = schema["$defs"]["PlatformBot"]
    assert set(bot["properties"]) == set(BotSection.model_fields)
    assert (schema["required"], schema["additionalProperties"]) == (["bots"], False)
    assert (bot["required"], bot["additionalProperties"]) == (["id"], False)
    assert "{" not in "".join(re.findall(r'"pattern": "([^"]*)"', answer_schema_text()))
    assert re.fullmatch(bot["properties"]["idle_timeout"]["anyOf"][0]["pattern"], "1h 30m")


def test_the_shipped_configuration_is_accepted():
    assert load_settings(CONFIG / "brama.yaml", {}).bots == ()


def test_the_shipped_comments_are_the_defaults(tmp_path: Path):
    """What brama.yaml shows in comments, taken out of them, changes nothing."""
    lines = (CONFIG / "brama.yaml").read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("# mode:"))
    end = next(n for n, line in enumerate(lines) if line.startswith("bots:"))
    shown = [line.removeprefix("# ") for line in lines[start:end] if not line.startswith("# isolation:")]
    path = tmp_path / "brama.yaml"
    path.write_text("\n".join(shown))
    assert load_settings(path, {}) == Settings(
        config_path=path, project_root=tmp_path, state_dir=tmp_path / "state", logs_dir=tmp_path / "logs"
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_accepted(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("brama.config.loading.effective_uid", lambda: 0)
    text = example.read_text()
    document = yaml.safe_load(text)
    environ = {
        name: made_up_token(number) for number, name in enumerate(re.findall(r"\$\{(\w+_TOKEN)\}", text))
    }
    environ.pop("OLD_BOT_TOKEN", None)
    environ |= {"WEBHOOK_SECRET": "0123456789abcdef" * 2, "REDIS_PASSWORD": "0123456789abcdef"}
    environ["ALERT_URL"] = "https://ops.example.com/hook"
    for module in document.get("jobs", {}).get("modules", []):
        (tmp_path / f"{module}.py").touch()
    for number, bot in enumerate(document["bots"]):
        files = {
            bot.get("script"): "",
            bot.get("env_file"): "A=1",
            bot.get("token_file"): made_up_token(50 + number),
        }
        if app := bot.get("app"):
            files[app.partition(":")[0].replace(".", "/") + ".py"] = ""
        for name, content in files.items():
            if name and bot.get("enabled") is not False:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_text(content)
                (tmp_path / name).chmod(0o600)
    path = tmp_path / "brama.yaml"
    path.write_text(text)
    settings = load_settings(path, environ)
    assert len(settings.bots) == len(document["bots"])
    assert settings.bots or settings.bots_source.url
    assert not [line for line in warnings(settings) if "isolation.uids is not set" not in line]


def test_update_kinds_are_those_of_python_telegram_bot():
    assert tuple(kind.value for kind in UpdateType) == UPDATE_KINDS


def test_old_names_set_keys_that_exist():
    for section, *rest in OWN_NAMES.values():
        model = Settings.model_fields[str(section)].default
        assert not rest or str(rest[0]) in type(model).model_fields
