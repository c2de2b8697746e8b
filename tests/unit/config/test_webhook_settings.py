"""The webhook's section and the platform's: what they must hold, once somebody needs them."""

from pathlib import Path

import pytest

from brama.config.checks import warnings
from tests.unit.config.project import Project

BOT = "bots: [{id: shop, token: '${SHOP_BOT_TOKEN}', script: bots/shop.py}]\n"
WEBHOOK_BOT = BOT.replace("}]", ", mode: webhook}]")
SECRET = "0123456789abcdefX"
PLATFORM = "bots_source: {url: 'https://platform.example.com/bots'}\n"


def section(**keys: str) -> str:
    """Return a section that is complete but for ``keys``; an empty value leaves one out."""
    written = {"host": "bots.example.com", "secret": SECRET} | keys
    return f"webhook: {{{', '.join(f'{key}: {value}' for key, value in written.items() if value)}}}\n"


@pytest.mark.parametrize(
    ("text", "user"),
    [
        (WEBHOOK_BOT, '"shop" is in mode webhook'),
        ("mode: webhook\n" + BOT, '"shop" is in mode webhook'),
        ("mode: webhook\n" + PLATFORM + "bots: []\n", "the platform's bots are in mode webhook"),
    ],
)
def test_host_and_secret_are_needed_by_bots_in_mode_webhook(project: Project, text: str, user: str):
    host, secret = project.problems(text)
    way_out = "write https://bots.example.com, or set WEBHOOK_HOST"
    assert host == f"brama.yaml: webhook.host: is missing, and {user}; {way_out}"
    assert secret.startswith(f"brama.yaml: webhook.secret: is missing, and {user}; write ${{WEBHOOK_SECRET}}")
    environ = {"WEBHOOK_HOST": "bots.example.com", "WEBHOOK_SECRET": SECRET}
    assert project.load(text, environ).webhook.host == "bots.example.com"


@pytest.mark.parametrize(
    "text",
    [
        BOT,
        "mode: webhook\nbots: []",
        "mode: webhook\n" + BOT.replace("}]", ", mode: polling}]"),
        "mode: webhook\n" + BOT.replace("}]", ", enabled: false}]"),
        PLATFORM + BOT,
        BOT + "webhook: {host: 'http://localhost:3000', ssl_cert: none, ssl_key: none, certificate: none}",
    ],
)
def test_a_webhook_that_nobody_needs_may_be_anything(project: Project, text: str):
    project.load(text)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"host": "http://bots.example.com"}, 'webhook.host: "http://bots.example.com" is not https'),
        ({"host": "bots.example.com:3000"}, 'webhook.host: "bots.example.com:3000" has port 3000'),
        ({"host": "'https://u:hush@h'"}, "webhook.host: holds a user or password"),
        ({"secret": "a!hush"}, "webhook.secret: must be 1 to 256 of A-Z a-z 0-9 _ - (not shown here)"),
        ({"listen": "a b"}, 'webhook.listen: "a b" is neither an IP address nor a host name'),
        ({"switch_after": "1d"}, "webhook.switch_after: must be less than 24h"),
        ({"return_after": "2h"}, "webhook.return_after: must be at most 1h"),
        ({"networks": "on"}, 'webhook.networks: "on" is not known; write off or warn or enforce'),
        ({"max_connections": "101"}, "webhook.max_connections: 101 is out of range; write 1 to 100"),
        ({"trusted_proxies": "[10.0.0.1/8]"}, 'webhook.trusted_proxies: "10.0.0.1/8" is no network'),
        ({"certificate": "no.pem"}, "webhook.certificate: no.pem cannot be read: No such file"),
        ({"certificate": "bots/shop.py"}, "webhook.certificate: bots/shop.py is no certificate in PEM"),
        ({"certificate": "broken.pem"}, "webhook.certificate: broken.pem holds a certificate that cannot be"),
        ({"ssl_cert": "a.pem"}, "webhook.ssl_cert: ssl_cert and ssl_key go together; write both or none"),
    ],
)
def test_a_problem_is_one_line(project: Project, keys: dict[str, str], line: str):
    project.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (problem,) = project.problems(section(**keys) + WEBHOOK_BOT)
    assert problem.startswith(f"brama.yaml:1: {line}")
    assert "hush" not in problem


def test_all_files_are_looked_at(project: Project):
    project.write("junk.pem", "junk")
    cert, key = project.problems(section(ssl_cert="no.pem", ssl_key="junk.pem") + WEBHOOK_BOT)
    missing = "no.pem cannot be read: No such file or directory; relative paths start at the project root"
    assert cert == f"brama.yaml:1: webhook.ssl_cert: {missing}"
    assert key.startswith(
        "brama.yaml:1: webhook.ssl_key: junk.pem is no key in PEM, which has a line -----BEGIN"
    )


def test_a_bot_api_server_of_ones_own_delivers_anywhere(project: Project):
    local = "telegram: {base_url: 'http://127.0.0.1:8081'}\n"
    settings = project.load(local + section(host="'http://127.0.0.1:3000'") + WEBHOOK_BOT)
    assert settings.webhook.host == "http://127.0.0.1:3000"


def test_files_are_named_from_the_project_root(project: Project):
    webhook = project.load(
        f"webhook: {{ssl_cert: a.pem, ssl_key: /k.pem, certificate: ../c.pem}}\n{BOT}"
    ).webhook
    assert webhook.ssl_cert == project.root / "a.pem"
    assert webhook.ssl_key == Path("/k.pem")
    assert webhook.certificate == project.root.parent / "c.pem"


@pytest.mark.parametrize("mode", ["off", "warn", "enforce", "'off'"])
def test_how_strict_networks_are_is_written_as_it_is_said(project: Project, mode: str):
    settings = project.load(section(networks=mode) + WEBHOOK_BOT)
    assert settings.webhook.networks == mode.strip("'")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, []),
        ({"secret": "short"}, ["webhook.secret is shorter than 16 characters and can be guessed"]),
        ({"listen": "0.0.0.0"}, ["webhook.listen: whoever reaches 0.0.0.0 talks to the server unencrypted"]),
        ({"listen": "localhost"}, []),
        ({"networks": "enforce"}, []),
        ({"networks": "enforce", "trusted_proxies": "[]"}, ["webhook.networks: every update is refused"]),
        ({"networks": "warn", "trusted_proxies": "[10.0.0.0/8]"}, ["every update causes a warning"]),
        ({"networks": "enforce", "trusted_proxies": "['::1']"}, []),
        ({"networks": "enforce", "trusted_proxies": "[0.0.0.0/0]"}, []),
        ({"networks": "enforce", "trusted_proxies": "[]", "listen": "10.0.0.7"}, ["webhook.listen"]),
        ({"auto_switch": "true"}, []),
        ({"auto_switch": "true", "return_after": "10s"}, ["webhook.return_after is less than switch_after"]),
    ],
)
def test_warnings(project: Project, keys: dict[str, str], words: list[str]):
    found = warnings(project.load(section(**keys) + WEBHOOK_BOT))
    assert len(found) == len(words), found
    assert all(word in line for word, line in zip(words, found, strict=True))
    assert warnings(project.load(section(**keys) + BOT)) == []


def test_a_key_that_everybody_can_read(project: Project):
    project.write("key.pem", "", 0o644)
    (line,) = warnings(project.load(f"webhook: {{ssl_cert: a.pem, ssl_key: key.pem}}\n{BOT}"))
    assert (
        line
        == f"{project.root}/key.pem holds secrets and every user of this machine can read it; chmod 600 it"
    )


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("url: platform.example.com", "url: is not an http address (not shown here); write https://platform"),
        ("url: 'ftp://h/hush'", "url: is not an http address (not shown here)"),
        ("url: 'https://'", "url: is not an http address (not shown here)"),
        ("url: 'https://h:0/'", "url: is not an http address (not shown here)"),
        ("url: 'https://h/a b'", "url: is not an http address (not shown here)"),
        ("url: 'https://h:99999/?key=hush'", "url: is not an address (not shown here)"),
        ("url: 'https://anna:hush@h/'", "url: holds a user or password; write the key as bots_source.token"),
        ("url: 'https://h/#hush'", 'url: has a "#", which no server sees; leave it out'),
        ("token: 'hush hush'", "token: must be ASCII without blanks (not shown here)"),
        ("interval: 500ms", "interval: must be at least 1s; write for example 60s"),
        ("interval: 60", "interval: 60 has no unit; write 60s"),
    ],
)
def test_a_problem_with_the_platform_is_one_line(project: Project, source: str, line: str):
    (problem,) = project.problems(f"bots_source: {{{source}}}\nbots: []")
    assert problem.startswith(f"brama.yaml:1: bots_source.{line}")
    assert "hush" not in problem


def test_the_platforms_address_stays_as_it_is_written(project: Project):
    settings = project.load("bots_source: {url: 'https://h/bots/?fleet=a'}\nbots: []")
    assert settings.bots_source.url == "https://h/bots/?fleet=a"
    assert (settings.bots_source.token, settings.bots_source.interval) == (None, 60)
    environ = {"BRAMA_BOTS_SOURCE__URL": "https://h/x", "BRAMA_BOTS_SOURCE__TOKEN": "0123456789"}
    from_environment = project.load("bots: []", environ)
    assert from_environment.bots_source.url == "https://h/x"
    assert "0123456789" in from_environment.secrets()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://platform/bots?key=hush", "bots_source.url: tokens of bots travel from platform unencrypted"),
        ("http://127.0.0.1:8090/bots", None),
        ("https://platform/bots", None),
    ],
)
def test_tokens_that_travel_unencrypted(project: Project, url: str, words: str | None):
    found = warnings(project.load(f"bots_source: {{url: '{url}'}}\nbots: []"))
    assert [line.startswith(words or "-") for line in found] == ([True] if words else [])
    assert "hush" not in "".join(found)
