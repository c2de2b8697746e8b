"""The environment and the .env over the file."""

import pytest

from brama.errors import ConfigError
from tests.unit.config.project import Project, made_up_token


def test_environment_over_env_file_over_yaml_over_defaults(project: Project):
    text = "limits: {max_workers: 1, max_workers_per_core: 1, worker_timeout: 100s}\nbots: []"
    project.write(
        "config/.env", "BRAMA_LIMITS__MAX_WORKERS=2\nBRAMA_LIMITS__MAX_WORKERS_PER_CORE=2\nOTHER=1\n"
    )
    limits = project.load(text, {"BRAMA_LIMITS__MAX_WORKERS": "3"}).limits
    assert (limits.max_workers, limits.max_workers_per_core, limits.worker_timeout) == (3, 2, 100)
    assert limits.start_timeout == 60


def test_names_that_operators_use(project: Project):
    settings = project.load(
        "webhook: {port: 1}\nbots: []",
        {
            "BOT_MODE": "polling",
            "WEBHOOK_HOST": "https://bots.example.com",
            "WEBHOOK_PORT": "8444",
            "WEBHOOK_SECRET": "hush",
            "WEBHOOK_SSL_CERT": "a.pem",
            "WEBHOOK_SSL_KEY": "b.pem",
            "AUTO_SWITCH_MODE": "true",
            "REDIS_URL": "redis://localhost",
            "ALLOWED_API_KEY": "key",
            "WORKER_CONCURRENCY": "7",
            "OPENAI_API_KEY": "hush too",
            "MOCK_PROCESSING_TIME": "250",
            "LOG_LEVEL": "WARN",
        },
    )
    webhook = settings.webhook
    assert (webhook.host, webhook.port, webhook.auto_switch) == ("https://bots.example.com", 8444, True)
    assert webhook.secret is not None
    assert webhook.secret.get_secret_value() == "hush"
    assert settings.redis.url is not None
    assert settings.api.token is not None
    assert (settings.jobs.concurrency, settings.log.level) == (7, "warning")
    backend = settings.jobs.backend
    assert [key.get_secret_value() for key in backend.api_keys] == ["key"]
    assert backend.openai_api_key is not None
    assert backend.mock_processing_time == 0.25


def test_a_redis_server_may_be_named_in_parts(project: Project):
    environ = {"REDIS_HOST": "queue.internal", "REDIS_PORT": "6380", "REDIS_PASSWORD": "a/b"}
    url = project.load("bots: []", environ).redis.url
    assert url is not None
    assert url.get_secret_value() == "redis://:a%2Fb@queue.internal:6380"
    with pytest.raises(ConfigError, match='REDIS_PORT: "many" is not a port'):
        project.load("bots: []", environ | {"REDIS_PORT": "many"})


def test_the_job_queue_may_run_without_bots(project: Project):
    text = "bots_source: {url: https://platform.example.com/bots}\nbots: [{id: none}]"
    settings = project.load(text, {"BRAMA_JOBS__ONLY": "true"})
    assert settings.jobs.enabled
    assert settings.bots == ()
    assert settings.bots_source.url is None


def test_any_key_has_a_name(project: Project):
    environ = {
        "BRAMA_STATE_DIR": "s",
        "BRAMA_API__PORT": "0",
        "BRAMA_ZYGOTE__PRELOAD": "json, xml.dom",
        "BRAMA_DELIVERY__MAX_UPDATE_AGE__MESSAGE": "1h",
        "BRAMA_DELIVERY__RETRY_HANDLERS": "yes",
        "BRAMA_ISOLATION__UIDS": "",
        "BRAMA_CONFIG": "not a key",
        "BRAMA_OTHER": "not a key",
        "API__PORT": "not ours",
        "LOG_LEVEL": "",
    }
    settings = project.load("zygote:\nbots: []", environ)
    assert settings.state_dir == project.root / "s"
    assert settings.api.port == 0
    assert settings.zygote.preload == ("json", "xml.dom")
    assert settings.delivery.max_update_age["message"] == 3600
    assert settings.delivery.retry_handlers
    assert settings.log.level == "info"


def test_the_exact_name_wins_over_the_old_one(project: Project):
    environ = {"LOG_LEVEL": "error", "BRAMA_LOG__LEVEL": "debug"}
    assert project.load("bots: []", environ).log.level == "debug"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("BOT_MODE", "x", 'environment: BOT_MODE: "x" is not known; write polling or webhook'),
        ("WEBHOOK_PORT", "x", 'environment: WEBHOOK_PORT: "x" is not a whole number'),
        (
            "BRAMA_LIMITS__MAX_WORKER",
            "1",
            "BRAMA_LIMITS__MAX_WORKER: is not known; did you mean max_workers?",
        ),
        ("BRAMA_LIMIT__X", "1", "environment: BRAMA_LIMIT__X: limit is not known; did you mean limits?"),
        ("BRAMA_BOTS__0__ID", "x", "environment: BRAMA_BOTS__0__ID: bots are configured in the file alone"),
        ("BRAMA_API__HOST", "0.0.0.0", "environment: BRAMA_API__HOST: 0.0.0.0 can be reached"),
    ],
)
def test_problems_name_the_variable(project: Project, name: str, text: str, complaint: str):
    problems = project.problems("bots: []", {name: text})
    assert len(problems) == 1
    assert complaint in problems[0]


def test_the_other_lines_of_a_wrong_env_file_count(project: Project):
    project.write("config/.env", f"wrong\nOTHER_TOKEN={made_up_token(3)}\n")
    problems = project.problems("bots: [{id: a, token: '${OTHER_TOKEN}', script: bots/shop.py}]")
    assert problems == [".env: line 1 is not NAME=value"]


def test_a_wrong_env_file_is_named(project: Project):
    project.write("config/.env", "A=1\nwrong\n")
    problems = project.problems("typo: 1")
    assert problems == [
        ".env: line 2 is not NAME=value",
        "brama.yaml:1: typo: is not known; " + problems[1][34:],
    ]
