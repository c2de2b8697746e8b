"""The zygote knows of the master's environment what it needs, and no secret."""

import json
import os
from pathlib import Path

import brama
from supervisor.fleet.zygote_start import zygote_environment

ROOT = Path("/srv/bots")


def test_only_harmless_variables_reach_the_zygote():
    environ = {
        "PATH": "/usr/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "SSL_CERT_FILE": "/etc/ca.pem",
        "SHOP_BOT_TOKEN": "secret", "AWS_SECRET_ACCESS_KEY": "secret", "HTTPS_PROXY": "http://user:secret@proxy",
        "PATH_TO_TOKEN": "secret", "BRAMA_API__TOKEN": "secret", "REDIS_URL": "redis://:secret@host",
    }  # fmt: skip
    given = zygote_environment(environ, ["numpy"], ROOT)
    assert "secret" not in repr(given)
    assert {name: given[name] for name in ("PATH", "HOME", "LC_ALL", "SSL_CERT_FILE")} == {
        name: environ[name] for name in ("PATH", "HOME", "LC_ALL", "SSL_CERT_FILE")
    }
    assert json.loads(given["BRAMA_ZYGOTE"]) == {"preload": ["numpy"], "project_root": "/srv/bots"}


def test_a_library_that_is_preloaded_keeps_what_configures_it():
    environ = {"LD_PRELOAD": "libfaketime.so.1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    assert zygote_environment(environ, [], ROOT).items() >= environ.items()


def test_the_zygote_finds_this_installation_and_what_the_operator_added():
    home = str(Path(brama.__file__).resolve().parents[1])
    path = zygote_environment({"PYTHONPATH": "/opt/libs"}, [], ROOT)["PYTHONPATH"].split(os.pathsep)
    assert "/opt/libs" in path
    assert home in path or "site-packages" in home
