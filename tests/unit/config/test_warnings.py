"""What is allowed and worth a second look."""

from pathlib import Path

import pytest

from brama.config.checks import warnings
from tests.unit.config.project import Project, made_up_token

ONE = "bots: [{id: a, token: '${SHOP_BOT_TOKEN}', script: bots/shop.py}]"


def two(first: str = "", second: str = "") -> str:
    return (
        f"bots:\n- {{id: a, token: '${{SHOP_BOT_TOKEN}}', script: bots/shop.py{first}}}\n"
        f"- {{id: b, token: '{made_up_token(2)}', script: bots/shop.py{second}}}\n"
    )


def test_one_plain_bot_has_none(project: Project):
    assert warnings(project.load(ONE)) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bots: []", ["no bot is enabled"]),
        (two(), ["isolation.uids is not set", "a and b run one script"]),
        (two(", cwd: bots", ", cwd: ."), ["isolation.uids is not set"]),
        (two(", enabled: false"), []),
        (two() + "limits: {max_workers: 1}", ["limits.max_workers allows 1 bots", "isolation", "one script"]),
        (two() + "limits: {max_workers: 1}\nidle_timeout: 30m", ["isolation", "one script"]),
        (ONE + "\napi: {token: short}", ["api.token is shorter"]),
        (ONE + "\ntelegram: {base_url: 'http://h'}", ["unencrypted"]),
        (ONE + "\ntelegram: {base_url: 'http://127.0.0.1:8081'}", []),
        (
            ONE + "\nlimits: {worker_timeout: 45s}",
            ["limits.worker_timeout of 45s is less than two heartbeats"],
        ),
        (ONE[:-2] + ", token_env: T, env: {T: x}}]", ["env sets T, which token_env overrides"]),
        (ONE[:-2] + ", limits: {worker_timeout: 31s}}]", ["a: limits.worker_timeout of 31s"]),
    ],
)
def test_warnings(project: Project, text: str, words: list[str]):
    found = warnings(project.load(text))
    assert len(found) == len(words)
    for word in words:
        assert any(word in line for line in found), found


def test_many_bots_are_not_all_listed(project: Project):
    bots = [f"- {{id: b{n}, token: '{made_up_token(n)}', script: bots/shop.py}}" for n in range(9)]
    found = warnings(project.load("bots:\n" + "\n".join(bots)))
    assert any(line.startswith("b0, b1, b2 and 6 more run one script") for line in found)


def test_secrets_in_files_that_everybody_reads(project: Project):
    project.write("secrets/t", made_up_token(3), 0o644)
    project.write("config/.env", "A=1\n", 0o644)
    text = f"bots: [{{id: a, token_file: secrets/t, script: bots/shop.py}}]\napi: {{token: {'x' * 20}}}"
    project.load(text)
    project.config_path.chmod(0o644)
    found = warnings(reload(project))
    assert [Path(line.split(" ")[0]).name for line in found] == ["brama.yaml", ".env", "t"]
    for name in ("config/brama.yaml", "config/.env", "secrets/t"):
        (project.root / name).chmod(0o640)
    assert warnings(reload(project)) == []


def test_an_open_file_without_secrets_is_fine(project: Project):
    project.load(ONE)
    project.config_path.chmod(0o644)
    assert warnings(reload(project)) == []


def reload(project: Project):
    """Load the file as it is, without changing its mode."""
    from brama.config.loading import load_settings

    return load_settings(project.config_path, project.environ)


def test_a_job_queue_with_nothing_to_run_and_weak_keys(project: Project):
    assert any(
        "has nothing to run" in line for line in warnings(project.load("jobs: {enabled: true}\nbots: []"))
    )
    text = "jobs: {enabled: true, backend: {host: 0.0.0.0}}\nbots: []"
    said = "\n".join(warnings(project.load(text, {"ALLOWED_API_KEY": "short"})))
    for part in ("can be guessed", "can command the supervisor", "unencrypted", "nobody may be called back"):
        assert part in said
