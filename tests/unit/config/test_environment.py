"""What environment a bot gets."""

from brama.config.environment import bot_environment
from tests.unit.config.project import Project, made_up_token


def test_the_masters_less_every_named_variable_plus_the_bots_own(project: Project):
    master = {
        "PATH": "/bin",
        "LANG": "C",
        "REDIS_URL": "redis://h",
        "SHOP_BOT_TOKEN": made_up_token(1),
        "OTHER_TOKEN": made_up_token(2),
        "DB_PASSWORD": "hush",
        "OPTIONAL": "x",
        "ALLOWED_API_KEY": "key",
        "BRAMA_API__PORT": "0",
        "COPY": made_up_token(2),
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": "1",
        "LISTEN_FDS": "1",
        "CREDENTIALS_DIRECTORY": "/run/credentials/brama-supervisor.service",
        "JOURNAL_STREAM": "8:1",
        "INVOCATION_ID": "f00",
    }
    settings = project.load(
        """
        state_dir: ${OPTIONAL:-state}
        bots:
        - {id: a, token: "${SHOP_BOT_TOKEN}", script: bots/shop.py, env: {DB: "x:${DB_PASSWORD}", LANG: de}}
        - {id: b, token: "${OTHER_TOKEN}", script: bots/shop.py, token_env: BOT_TOKEN}
        """,
        master,
    )
    first, second = settings.bots
    common = {"PATH": "/bin", "REDIS_URL": "redis://h", "INVOCATION_ID": "f00"}
    assert bot_environment(first, master) == {**common, "LANG": "de", "DB": "x:hush"}
    assert bot_environment(second, master) == {**common, "LANG": "C", "BOT_TOKEN": made_up_token(2)}


def test_the_env_file_beside_the_configuration_is_for_the_configuration(project: Project):
    project.write("config/.env", "UNNAMED=1\n")
    (bot,) = project.load("bots: [{id: a, token: '${SHOP_BOT_TOKEN}', script: bots/shop.py}]").bots
    assert bot_environment(bot, {"PATH": "/bin"}) == {"PATH": "/bin"}
