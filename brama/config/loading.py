"""Loads the configuration: file, ``.env``, environment, and everything that is wrong with them in one report.

Runs in: master, command line.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from brama.config.bots import BotDefaults, BotResolver, read_entries
from brama.config.consistency import effective_uid, find_faults
from brama.config.dotenv import DotenvError, read_dotenv
from brama.config.environment import withhold
from brama.config.finding import find_config, project_root_of
from brama.config.models import BotsSourceSection, Document, WebhookSection
from brama.config.overlay import lay_over
from brama.config.paths import absolute, display_name, is_open_to_all, say_open
from brama.config.readers import describe
from brama.config.report import Report
from brama.config.settings import Settings
from brama.config.substitution import Variables
from brama.config.validation import validate
from brama.config.yaml_tree import TreeBuilder
from brama.errors import ConfigError

#: Larger than a file of 10,000 bots.
_MAX_BYTES = 32 * 1024 * 1024


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the configuration, checked.

    Args:
        path: the file; None looks for it as ``find_config`` does, from the working directory.
        environ: the process's environment; it wins over the file and over the ``.env`` beside it.

    Raises:
        ConfigError: something is wrong; the text has one line for each problem, without any secret.
    """
    config_path = Path(os.path.abspath(path or find_config(None, environ, Path.cwd())))
    name = display_name(config_path)
    text, config_is_open = _read(config_path, name)
    report = Report(name)
    dotenv_path = config_path.parent / ".env"
    dotenv = _read_beside(dotenv_path, report)
    merged = {**dotenv, **environ}
    variables = Variables(merged, f"the environment or in {display_name(dotenv_path)}")
    builder = TreeBuilder(report, variables)
    tree = builder.build(text)
    lay_over(tree, merged, report)

    raw_bots = _take_bots(tree, report)
    document = validate(Document, tree, report) or Document()
    if document.jobs.only:
        raw_bots, document = [], _without_bots(document)
    root = project_root_of(config_path)
    defaults = BotDefaults(document.mode, document.idle_timeout, document.idle_unsafe)
    resolver = BotResolver(root, defaults, document.heartbeat.interval, report)
    bots = [
        resolver.resolve(index, bot, resolver.claim(index, bot))
        for index, bot in read_entries(raw_bots, report)
    ]
    report.extend(find_faults(document, root, bots, len(raw_bots), effective_uid()))
    report.raise_if_any()

    sections = {key: getattr(document, key) for key in Settings.model_fields if key in Document.model_fields}
    webhook = _with_absolute_files(document.webhook, root)
    changed = {
        "state_dir": absolute(document.state_dir, root),
        "logs_dir": absolute(document.logs_dir, root),
        "bots": withhold(bots, variables.used, environ),
        "webhook": webhook,
        "withheld": variables.used,
        "notices": tuple(
            _notices(builder, config_path, config_is_open, dotenv_path, dotenv, resolver, webhook.ssl_key)
        ),
    }
    return Settings(config_path=config_path, project_root=root, **sections | changed)


def _without_bots(document: Document) -> Document:
    jobs = document.jobs.model_copy(update={"enabled": True})
    return document.model_copy(update={"jobs": jobs, "bots_source": BotsSourceSection()})


def _take_bots(tree: dict[str, Any], report: Report) -> list[Any]:
    """Remove the bots from ``tree`` and return them: they are validated one by one."""
    raw = tree.pop("bots", None)
    if raw is None:
        return []
    if not isinstance(raw, list):
        report.add(("bots",), f"must be a list of bots (- id: shop), not {describe(raw)}")
        return []
    return raw


def _with_absolute_files(webhook: WebhookSection, root: Path) -> WebhookSection:
    files = {key: getattr(webhook, key) for key in ("ssl_cert", "ssl_key", "certificate")}
    return webhook.model_copy(
        update={key: absolute(path, root) for key, path in files.items() if path is not None}
    )


def _notices(
    builder: TreeBuilder,
    config_path: Path,
    config_is_open: bool,
    dotenv_path: Path,
    dotenv: Mapping[str, str],
    resolver: BotResolver,
    ssl_key: Path | None,
) -> Iterator[str]:
    """Yield a line for each file with secrets that everybody can read."""
    files = list(resolver.open_files)
    if ssl_key is not None and ssl_key.is_file() and is_open_to_all(ssl_key.stat()):
        files.insert(0, ssl_key)
    if dotenv and is_open_to_all(dotenv_path.stat()):
        files.insert(0, dotenv_path)
    if builder.literal_secrets and config_is_open:
        files.insert(0, config_path)
    yield from map(say_open, files)


def _read(path: Path, name: str) -> tuple[str, bool]:
    """Return the text of the file, and whether everybody can read it."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
            is_open = is_open_to_all(os.fstat(file.fileno()))
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{name}: is larger than {_MAX_BYTES} bytes; this is no configuration")
    try:
        return content.decode("utf-8-sig"), is_open
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: is not UTF-8; save the file as UTF-8") from None


def _read_beside(path: Path, report: Report) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return read_dotenv(path)
    except DotenvError as error:
        for fault in error.faults:
            report.add_elsewhere(display_name(path), fault)
        return error.variables
    except ConfigError as error:
        report.add_elsewhere(display_name(path), str(error))
        return {}
