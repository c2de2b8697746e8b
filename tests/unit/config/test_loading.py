"""A configuration as a whole: what it becomes, and the one report of everything wrong with it."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from brama.config.loading import load_settings
from brama.config.models import DeliverySection, LimitsSection
from brama.errors import ConfigError
from tests.unit.config.project import Project, made_up_token

SHOP = "bots: [{id: shop, token: '${SHOP_BOT_TOKEN}', script: bots/shop.py"


def test_defaults_are_those_of_the_design(project: Project):
    settings = project.load("bots: []")
    assert settings.mode == "polling"
    assert settings.telegram.base_url == "https://api.telegram.org"
    limits = settings.limits
    assert (limits.max_workers, limits.max_workers_per_core, limits.min_free_memory) == (1000, 500, 0.05)
    assert (limits.memory_per_worker, limits.worker_timeout, limits.start_timeout) == (150 * 2**20, 90, 60)
    assert settings.heartbeat.interval == 30
    assert (settings.restart.cooldown, settings.restart.budget, settings.restart.window) == (45, 5, 3600)
    assert settings.stop.timeout == 90
    delivery = settings.delivery
    assert (delivery.durability, delivery.attempts, delivery.retry_handlers) == ("full", 3, False)
    assert (delivery.max_in_flight, delivery.max_in_flight_size) == (100, 4 * 2**20)
    assert (delivery.max_backlog, delivery.max_backlog_size) == (10_000, 256 * 2**20)
    assert delivery.max_update_age == {"callback_query": 150, "inline_query": 30}
    assert (settings.dedup.window, settings.dedup.max_keys, settings.dedup.content) == (30, 10_000, False)
    assert (settings.api.host, settings.api.port, settings.api.token) == ("127.0.0.1", 3001, None)
    assert (settings.webhook.port, settings.isolation.uids, settings.zygote.preload) == (8443, None, ())


def test_paths_start_at_the_project_root(project: Project):
    settings = project.load(SHOP + "}]")
    root = project.root
    assert settings.config_path == root / "config/brama.yaml"
    assert settings.project_root == root
    assert (settings.state_dir, settings.logs_dir) == (root / "state", root / "logs")
    (bot,) = settings.bots
    assert (bot.script, bot.cwd) == (root / "bots/shop.py", root / "bots")
    assert (bot.kind, bot.entry) == ("script", str(root / "bots/shop.py"))


def test_a_folder_not_named_config_is_the_project_root(project: Project):
    path = project.write("brama.yaml", "state_dir: ../elsewhere\nbots: []")
    settings = load_settings(path, {})
    assert settings.project_root == project.root
    assert settings.state_dir == project.root.parent / "elsewhere"


def test_home_and_absolute_paths(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/anna")
    settings = project.load("state_dir: ~/state\nlogs_dir: /var/log/brama\nbots:\n")
    assert (str(settings.state_dir), str(settings.logs_dir)) == ("/home/anna/state", "/var/log/brama")


def test_every_key_is_read(project: Project):
    project.write("pkg/shop.py", "raise SystemExit('imported')")
    project.write("shop.env", "A=file\nB=file\n")
    settings = project.load(
        f"""
        state_dir: s
        telegram: {{base_url: "http://127.0.0.1:8081/"}}
        limits: {{max_workers: 5, min_free_memory: 10%, memory_per_worker: 1GB}}
        delivery: {{durability: normal, max_update_age: {{inline_query: none, message: 1h}}}}
        isolation: {{uids: 20000-20009}}
        zygote: {{preload: [json, xml.dom]}}
        log: {{level: DEBUG}}
        bots:
        - id: shop
          token: {made_up_token(5)}
          app: pkg.shop:build.now
          args: [a, 8080]
          cwd: pkg
          env: {{B: own, PORT: 8080}}
          env_file: shop.env
          token_env: BOT_TOKEN
          settings: {{greeting: hello, list: [1, {{x: 1.5}}], none: null}}
          mode: polling
          limits: {{memory: 99MB, worker_timeout: 3m}}
          restart: {{budget: 9, cooldown: 0s}}
          allowed_updates: [message, guest_message]
          idle_timeout: 30m
        """
    )
    assert settings.telegram.base_url == "http://127.0.0.1:8081"
    assert settings.isolation.uids == range(20000, 20010)
    assert settings.zygote.preload == ("json", "xml.dom")
    assert settings.log.level == "debug"
    ages = {"callback_query": 150, "inline_query": None, "message": 3600}
    assert settings.delivery.max_update_age == ages
    bot = settings.bot("shop")
    assert bot is not None
    assert bot.token.get_secret_value() == made_up_token(5)
    assert bot.telegram_id == 1005
    assert (bot.kind, bot.entry, bot.cwd) == ("app", "pkg.shop:build.now", project.root / "pkg")
    assert bot.args == ("a", "8080")
    assert bot.env == {"A": "file", "B": "own", "PORT": "8080"}
    assert bot.settings == {"greeting": "hello", "list": [1, {"x": 1.5}], "none": None}
    assert (bot.limits.memory, bot.limits.worker_timeout) == (99 * 2**20, 180)
    assert (bot.restart.budget, bot.restart.cooldown, bot.restart.window) == (9, 0, None)
    assert bot.allowed_updates == ("message", "guest_message")
    assert (bot.idle_timeout, bot.token_env, bot.enabled) == (1800, "BOT_TOKEN", True)


@pytest.mark.parametrize(
    ("fleet", "own", "expected"),
    [
        ("", "", (None, False)),
        ("idle_timeout: 30m", "", (1800, False)),
        ("idle_timeout: 30m\nidle_unsafe: true", "idle_timeout: 0s", (None, True)),
        ("idle_timeout: 30m\nidle_unsafe: true", "idle_timeout: 1s, idle_unsafe: false", (1, False)),
        ("idle_timeout: 0s", "idle_unsafe: true", (None, True)),
    ],
)
def test_how_a_bot_sleeps_is_the_fleets_unless_it_says_so_itself(project: Project, fleet, own, expected):
    bot = project.load(f"{SHOP}, {own}}}]\n{fleet}").bot("shop")
    assert bot is not None
    assert (bot.idle_timeout, bot.idle_unsafe) == expected


def test_the_environment_says_how_bots_sleep(project: Project):
    environ = {"BRAMA_IDLE_TIMEOUT": "5m", "BRAMA_IDLE_UNSAFE": "true"}
    bot = project.load(f"{SHOP}}}]", environ).bot("shop")
    assert bot is not None
    assert (bot.idle_timeout, bot.idle_unsafe) == (300, True)


def test_settings_are_frozen_and_hide_secrets(project: Project):
    settings = project.load(SHOP + "}]\napi: {token: 0123456789abcdefXYZ}", {"REDIS_URL": "redis://:hush@h"})
    with pytest.raises(ValidationError):
        settings.mode = "webhook"  # type: ignore[misc]
    shown = repr(settings) + str(settings) + settings.model_dump_json(exclude={"isolation"})
    for secret in (made_up_token(1), "0123456789abcdefXYZ", "hush"):
        assert secret not in shown
    assert set(settings.secrets()) == {made_up_token(1), "0123456789abcdefXYZ", "redis://:hush@h"}


def test_sections_can_be_made_in_code_with_plain_numbers():
    assert LimitsSection(worker_timeout=0.5, memory_per_worker=1024).memory_per_worker == 1024
    assert DeliverySection(max_update_age={"message": 5.0}).max_update_age["message"] == 5
    with pytest.raises(ValidationError):
        LimitsSection(worker_timeout=0)


#: Each: what stands in the file (a bot's part after "- "), and the one line said about it.
PROBLEMS = [
    # keys
    ("limit: {}", "brama.yaml:1: limit: is not known; did you mean limits?"),
    ("limits: {max_worker: 5}", "brama.yaml:1: limits.max_worker: is not known; did you mean max_workers?"),
    (
        "heartbeat: {zzz: 5}",
        "brama.yaml:1: heartbeat.zzz: is not known; known here: interval",
    ),
    ("x" * 70 + ": 5", "brama.yaml:1: " + "x" * 57 + "...: is not known; known here: "),
    ('"a\\Nb\\Lc": 5', "brama.yaml:1: a b c: is not known"),
    ("limits: 5", "brama.yaml:1: limits: must be a mapping (key: value), not 5"),
    ("bots: {id: shop}", "brama.yaml:1: bots: must be a list of bots (- id: shop), not a mapping"),
    ("bots: [shop]", 'brama.yaml:1: bots[0]: must be a mapping that starts with id:, not "shop"'),
    # values
    ("mode: poling", 'brama.yaml:1: mode: "poling" is not known; write polling or webhook'),
    (
        "limits:\n  memory_per_worker: 15O MB",
        'brama.yaml:2: limits.memory_per_worker: "15O MB" is not a size; write 150MB',
    ),
    ("restart: {window: 90}", "brama.yaml:1: restart.window: 90 has no unit; write 90s"),
    (
        "limits: {memory_per_worker: 150}",
        "brama.yaml:1: limits.memory_per_worker: 150 has no unit; write 150MB",
    ),
    ("limits: {worker_timeout: 0s}", "brama.yaml:1: limits.worker_timeout: must be more than 0"),
    (
        "restart: {budget: 0}",
        "brama.yaml:1: restart.budget: 0 is out of range; write 1 to 1000000000",
    ),
    (
        "restart: {budget: many}",
        'brama.yaml:1: restart.budget: "many" is not a whole number; write one of 1 to 1000000000',
    ),
    ("restart: {budget: true}", "restart.budget: true is not a whole number"),
    ("restart: {budget: 1.5}", "restart.budget: 1.5 is not a whole number"),
    ("api: {port: 70000}", "brama.yaml:1: api.port: 70000 is out of range; write 0 to 65535"),
    ("dedup: {content: maybe}", 'brama.yaml:1: dedup.content: "maybe" is neither true nor false'),
    (
        "dedup: {content: on}",
        'brama.yaml:1: dedup.content: on is not plain; write true, or "on" if text is meant',
    ),
    ("state_dir: 5", 'brama.yaml:1: state_dir: 5 is a number; write it in quotes: "5"'),
    ("state_dir: ''", "brama.yaml:1: state_dir: is empty; write a value, or leave the key out"),
    ("state_dir: [a]", "brama.yaml:1: state_dir: must be text, not a list"),
    ("state_dir: bots/shop.py", "state_dir: bots/shop.py is no folder"),
    (
        "zygote: {preload: 'a b'}",
        'zygote.preload[0]: "a b" is not the name of a module; write it like package.module',
    ),
    (
        "zygote: {preload: [os.path, bots.shop, htpx.client]}",
        'zygote.preload[2]: there is no module "htpx", neither in ',
    ),
    (
        "delivery: {max_update_age: {calback_query: 1s}}",
        'delivery.max_update_age: "calback_query" is no kind of update; did you mean callback_query?',
    ),
    (
        "delivery: {max_update_age: {message: old}}",
        'delivery.max_update_age.message: "old" is not a duration; write for example 45s, 5m or 1h',
    ),
    (
        "limits: {worker_timeout: 30s}",
        "limits.worker_timeout: must be more than heartbeat.interval, or every bot always counts as hung",
    ),
    # addresses
    (
        "telegram: {base_url: api.telegram.org}",
        '"api.telegram.org" is not an http address; write https://api',
    ),
    ("telegram: {base_url: 'http://h:99999'}", '"http://h:99999" is not an address: Port out of range'),
    ("telegram: {base_url: 'http://[::1'}", '"http://[::1" is not an address: Invalid IPv6 URL'),
    ("telegram: {base_url: 'https://h/bot'}", '"https://h/bot" ends with /bot, which is added by itself'),
    ("telegram: {base_url: 'https://h/?a=1'}", "has a ? or #; write the address alone"),
    ("telegram: {base_url: 'https://u:hush@h'}", "holds a user or password"),
    (
        "api: {host: 0.0.0.0}",
        "api.host: 0.0.0.0 can be reached from other machines; set api.token (ALLOWED_API_KEY)",
    ),
    ("api: {host: '::'}", "api.host: :: can be reached from other machines"),
    ("api: {host: a b}", 'api.host: "a b" is neither an IP address nor a host name'),
    ("api: {host: 127.0.0.300}", 'api.host: "127.0.0.300" is neither an IP address nor a host name'),
    ("api: {token: a b}", "api.token: must be ASCII without blanks (not shown here)"),
    ("api: {token: 12345678}", "api.token: is not text (not shown here); put it in quotes"),
    # jobs
    ("redis: {url: 'http://u:hush@h'}", "redis.url: is no address of a Redis server (not shown here)"),
    ("redis: {url: 'redis://:hush@h:99999'}", "redis.url: is no address of a Redis server (not shown here)"),
    ("jobs: {modules: [no.such.module]}", "jobs.modules[0]: "),
    (
        "jobs: {modules: [shop_jobs.py]}",
        "jobs.modules[0]: shop_jobs.py is a file; write the module: shop_jobs",
    ),
    ("jobs: {modules: [json.nothing]}", 'jobs.modules[0]: there is no module "nothing" in json'),
    ("jobs: {alert: {url: 'ftp://hush'}}", "jobs.alert.url: is not an http address (not shown here)"),
    ("jobs: {alert: {url: 'http://u:hush@h'}}", "jobs.alert.url: holds a user or password"),
    ("jobs: {alert: {token: hush}}", "jobs.alert.token: is sent to jobs.alert.url, which is missing"),
    ("redis: {url: 'redis://hush:0'}", "redis.url: is no address of a Redis server (not shown here)"),
    ("jobs: {workers: 257}", "jobs.workers: "),
    ("jobs: {concurrency: 1001}", "jobs.concurrency: "),
    (
        "jobs: {enabled: true, backend: {api_keys: [k], port: 3001}}",
        "jobs.backend.port: 3001 is also api.port",
    ),
    (
        "{mode: webhook, jobs: {enabled: true, backend: {api_keys: [k], port: 8443}}}",
        "jobs.backend.port: 8443 is also webhook.port",
    ),
    ("jobs: {worker_timeout: 5s}", "jobs.worker_timeout: must be at least 10s"),
    ("jobs: {backend: {host: a b}}", 'jobs.backend.host: "a b" is neither an IP address nor a host name'),
    ("jobs: {backend: {provider: openai}}", "jobs.backend.provider: openai needs a key; set OPENAI_API_KEY"),
    ("jobs: {backend: {api_keys: [12345678]}}", "jobs.backend.api_keys[0]: is not text (not shown here)"),
    ("webhook: {secret: 'a!b'}", "webhook.secret: must be 1 to 256 of A-Z a-z 0-9 _ - (not shown here)"),
    ("webhook: {ssl_cert: a.pem}", "webhook.ssl_cert: ssl_cert and ssl_key go together; write both or none"),
    ("isolation: {uids: 5-1}", 'isolation.uids: "5-1" is not a range of uids from 1 to'),
    (
        "isolation: {uids: 20000}",
        "isolation.uids: 20000 is not a range of uids; write isolation.uids: 20000-29999",
    ),
    # bots
    ("- token: x", "bots[0].id: is missing; write id: NAME"),
    ("- {id: a/b}", 'bots[0].id: "a/b" is no id; it must be 1 to 64 of A-Z a-z 0-9 _ . - and not start'),
    ("- {id: .hidden}", 'bots[0].id: ".hidden" is no id'),
    ("- {id: -x}", 'bots[0].id: "-x" is no id'),
    ("- {id: 'a\nb'}", 'bots[0].id: "a b" is no id'),
    ("- {id: " + "x" * 65 + "}", "is no id; it must be 1 to 64"),
    ("- {id: master}", 'bots[0].id: "master" is the supervisor\'s own name; choose another'),
    ("- {id: 001}", 'bots[0].id: 001 without quotes is read in different ways; write "001" in quotes'),
    ("- {id: 12}", 'bots[0].id: 12 is a number; write it in quotes: "12"'),
    ("- {id: a, token: null}", "bots[0].token: is missing; write token: ${NAME} or token_file: PATH"),
    (
        "- {id: a, token: '123:hush'}",
        "bots[0].token: is not a bot token (not shown here); it looks like 123456789:",
    ),
    ("- {id: a, token: 12:34}", "bots[0].token: this value without quotes is read in different ways"),
    (
        "- {id: a, token: '${NONE}'}",
        "bots[0].token: variable NONE is not set; set it in the environment or in ",
    ),
    ("- {id: a, token: '${NONE'}", "bots[0].token: a ${ without its }; write ${NAME}"),
    ("- {id: a, token: x, token_file: y}", "bots[0].token: stands beside token_file; keep one of the two"),
    (
        "- {id: a, token_file: no/token}",
        "bots[0].token_file: no/token cannot be read: No such file or directory",
    ),
    ("- {id: a, token_file: bots}", "bots[0].token_file: bots cannot be read: Is a directory"),
    ("- {id: a, token_file: bots/shop.py}", "bots[0].token_file: bots/shop.py is empty"),
    (
        "- {id: a, token: '${T}'}",
        "bots[0]: neither script nor app says what to run; write script: bots/shop.py",
    ),
    ("- {id: a, script: b.py, app: 'a:b'}", "bots[0].app: stands beside script; keep one of the two"),
    (
        "- {id: a, script: b.py}",
        "bots[0].script: b.py does not exist; relative paths start at the project root",
    ),
    ("- {id: a, script: bots}", "bots[0].script: bots is a folder; name the script in it"),
    ("- {id: a, app: nope.x:build}", 'bots[0].app: module "nope" of nope.x:build is neither in'),
    (
        "- {id: a, app: bots.nope:build}",
        'bots[0].app: there is no module "nope" in bots, for bots.nope:build',
    ),
    (
        "- {id: a, app: bots.shop}",
        'bots[0].app: "bots.shop" is not an entry point; write it like package.module:',
    ),
    ("- {id: a, args: --verbose}", 'bots[0].args: must be a list such as [--verbose, shop], not "--verbose"'),
    ("- {id: a, args: [[a]]}", "bots[0].args: a list cannot be an argument; write text"),
    ("- {id: a, env: [A]}", "bots[0].env: must be a mapping of NAME: value, not a list"),
    ("- {id: a, env: {A: }}", 'bots[0].env: A has no value; write A: ""'),
    ("- {id: a, env: {A: [hush]}}", "bots[0].env: A must be text, not a list"),
    ("- {id: a, env: {'A=B': hush}}", 'bots[0].env: "A=B" cannot be the name of a variable'),
    ("- {id: a, env_file: no.env}", "bots[0].env_file: no.env: cannot be read: No such file"),
    (
        "- {id: a, cwd: nowhere}",
        "bots[0].cwd: nowhere is no folder; relative paths start at the project root",
    ),
    ("- {id: a, token_env: A-B}", 'bots[0].token_env: "A-B" is not the name of a variable'),
    ("- {id: a, settings: [1]}", "bots[0].settings: must be a mapping (key: value), not a list"),
    ("- {id: a, settings: {x: on}}", "bots[0].settings.x: on is not plain; write true"),
    ("- {id: a, mode: push}", 'bots[0].mode: "push" is not known; write polling or webhook'),
    ("- {id: a, limits: {memory: 1}}", "bots[0].limits.memory: 1 has no unit; write 1MB"),
    (
        "- {id: a, limits: {worker_timeout: 5s}}",
        "bots[0].limits.worker_timeout: must be more than heartbeat.interval",
    ),
    ("- {id: a, limits: {mem: 1MB}}", "bots[0].limits.mem: is not known; did you mean memory?"),
    ("- {id: a, allowed_updates: [mesage]}", '[0]: "mesage" is no kind of update; did you mean message?'),
    ("- {id: a, allowed_updates: [poll, 5]}", "bots[0].allowed_updates[1]: 5 is a number"),
    ("- {id: a, enabled: 5}", "bots[0].enabled: 5 is neither true nor false"),
    ("- {id: a, idle_timeout: never}", 'bots[0].idle_timeout: "never" is not a duration'),
    ("- {id: a, idle_timeout: 500ms}", "bots[0].idle_timeout: must be at least 1s, or 0s for never"),
    ("- {id: a, idle_unsafe: perhaps}", "bots[0].idle_unsafe"),
    ("- {id: a, toekn: x}", "bots[0].toekn: is not known; did you mean token?"),
]


@pytest.mark.parametrize(("text", "line"), PROBLEMS)
def test_a_problem_is_one_line_with_key_value_and_way_out(project: Project, text: str, line: str):
    if text.startswith("- "):
        text = "bots:\n" + text
    problems = project.problems(text)
    matching = [problem for problem in problems if line in problem]
    assert len(matching) == 1, problems
    assert not any("hush" in problem for problem in problems)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (
            "id: a, script: bots/shop.py, token: 1",
            "token: is not text (not shown here); put it in quotes",
        ),
        ("script: bots/shop.py, token: '${SHOP_BOT_TOKEN}', id: 5", "id: 5 is a number"),
        ("script: bots/shop.py, token: '${SHOP_BOT_TOKEN}', id: ''", "id: is empty; write a value"),
        ("id: a, token: '${SHOP_BOT_TOKEN}', app: nosuch.mod", 'app: "nosuch.mod" is not an entry point'),
        (
            "id: a, script: bots/shop.py, token: '${NOTHING}'",
            "token: ${NOTHING} is empty; give the variable a value, or leave the key out",
        ),
    ],
)
def test_one_mistake_is_one_line(project: Project, keys: str, line: str):
    (problem,) = project.problems(f"bots:\n- {{{keys}}}", {"NOTHING": ""})
    assert problem.startswith(f"brama.yaml:2: bots[0].{line}")


def test_all_problems_come_in_one_report_in_the_order_of_the_file(project: Project):
    token = made_up_token(7)
    problems = project.problems(
        f"""\
mode: hook
limits: {{memory_per_worker: 15O MB, worker_timeout: 1}}
typo: 1
bots:
- id: shop
  token: ${{SHOP_BOT_TOKEN}}
  script: bots/none.py
- id: shop
  token: {token}
  app: bots.shop:build
- id: a/b
  token: {token}
  script: bots/shop.py
- id: c
  token: ${{MISSING_TOKEN}}
  script: bots/shop.py
  limits: {{memory: x}}
- id: d
  token: {token}x
  script: bots/shop.py
"""
    )
    places = [problem.split(": ")[:2] for problem in problems]
    assert places == [
        ["brama.yaml:1", "mode"],
        ["brama.yaml:2", "limits.memory_per_worker"],
        ["brama.yaml:2", "limits.worker_timeout"],
        ["brama.yaml:3", "typo"],
        ["brama.yaml:7", "bots[0].script"],
        ["brama.yaml:8", "bots[1].id"],
        ["brama.yaml:11", "bots[2].id"],
        ["brama.yaml:12", "bots[2].token"],
        ["brama.yaml:15", "bots[3].token"],
        ["brama.yaml:17", "bots[3].limits.memory"],
        ["brama.yaml:19", "bots[4].token"],
    ]
    report = "\n".join(problems)
    assert token not in report
    assert 'id: "shop" is already the id of bots[0]; choose another' in report
    assert "bots[2].token: is the same token as that of bots[1]; one bot, one entry" in report
    assert "bots[4].token: is of the same bot (1007) as that of bots[1]; one bot, one entry" in report


def test_a_broken_key_causes_no_second_problem(project: Project):
    assert len(project.problems("bots: [{id: a, token: '${NONE}', script: '${ALSO}/a.py'}]")) == 2
    assert len(project.problems("bots: [{id: on, token: '${SHOP_BOT_TOKEN}', script: bots/shop.py}]")) == 1


def test_a_token_in_the_wrong_place_is_not_shown(project: Project):
    token = made_up_token(3)
    for text in (f"mode: '{token}'", f"bots: [{{id: '{token}'}}]", f"bots: [{{id: a, script: 'x/{token}'}}]"):
        assert token not in "\n".join(project.problems(text))


def test_a_disabled_bot_needs_neither_token_nor_files(project: Project):
    settings = project.load(
        """
        bots:
        - {id: a, enabled: false, token: "${NONE}", script: none.py, cwd: "${NONE}", env_file: no.env}
        - {id: b, enabled: "${NONE:-false}", token_file: none, app: "none:x"}
        - {id: c, enabled: false}
        """
    )
    assert [(bot.id, bot.telegram_id, bot.enabled) for bot in settings.bots] == [
        ("a", 0, False),
        ("b", 0, False),
        ("c", 0, False),
    ]
    assert settings.bots[0].token.get_secret_value() == ""
    assert settings.bots[0].kind == "script"


def test_a_disabled_bot_is_still_checked_for_what_is_written(project: Project):
    problems = project.problems("bots: [{id: a, enabled: false, limits: {memory: x}, typo: 1}]")
    assert len(problems) == 2


def test_token_files(project: Project):
    project.write("secrets/shop", made_up_token(4) + "\n")
    settings = project.load("bots: [{id: a, token_file: secrets/shop, script: bots/shop.py}]")
    assert settings.bots[0].telegram_id == 1004
    project.write("secrets/shop", "no token")
    assert "bots[0].token_file: is not a bot token" in "".join(
        project.problems("bots: [{id: a, token_file: secrets/shop, script: bots/shop.py}]")
    )
    project.write("secrets/shop", "1" * 5000)
    assert "too large" in "".join(
        project.problems("bots: [{id: a, token_file: secrets/shop, script: bots/shop.py}]")
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="root reads every file, others do not own uids")
def test_enough_uids_are_needed(project: Project):
    two = SHOP + "}, {id: b, enabled: false}]\nisolation: {uids: 20000-20000}"
    assert project.problems(two) == [
        "brama.yaml:2: isolation.uids: has 1 uids for 2 bots; write for example 20000-20001"
    ]


def test_uids_need_root(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("brama.config.loading.effective_uid", lambda: 1000)
    problems = project.problems("isolation: {uids: 20000-29999}")
    assert problems[0].startswith(
        "brama.yaml:1: isolation.uids: needs a supervisor that runs as root, this is uid 1000"
    )


def test_files_that_are_no_configuration(project: Project):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_settings(project.root / "none.yaml", {})
    project.config_path.parent.mkdir()
    project.config_path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"brama.yaml:2: is not UTF-8"):
        load_settings(project.config_path, {})


def test_the_file_is_named_as_seen_from_the_working_directory(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(project.root)
    project.write("config/brama.yaml", "typo: 1")
    with pytest.raises(ConfigError, match=r"^config/brama.yaml:1: typo: "):
        load_settings(Path("config/brama.yaml"), {})
    with pytest.raises(ConfigError, match=r"^config/brama.yaml:1: typo: "):
        load_settings(None, {})
