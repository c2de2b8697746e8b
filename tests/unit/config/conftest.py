"""Fixtures of the configuration's tests."""

from pathlib import Path

import pytest

from tests.unit.config.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project in a folder of its own."""
    return Project(tmp_path)
