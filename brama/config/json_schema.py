"""Writes the JSON schemas of ``brama.yaml``, for editors, and of the platform's answer, for its authors.

``python -m brama.config.json_schema config``
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brama.config.fields import VARIABLE_PATTERN
from brama.config.models import Document
from brama.config.platform_models import PlatformAnswer
from brama.config.values import format_duration, format_size

_FORMATS: dict[str, Callable[[Any], str]] = {
    "duration": format_duration,
    "size": format_size,
    "share": lambda share: f"{share * 100:g}%",
}


_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """Return the schema of the file, derived from the models; the same models give the same text."""
    schema = Document.model_json_schema(mode="validation")
    schema["patternProperties"] = {"^x-": {"description": "A place for YAML anchors; nothing reads it."}}
    _spell_defaults(schema)
    return _text("brama-supervisor configuration", schema)


def answer_schema_text() -> str:
    """Return the schema of the platform's answer, in which no variable stands for a value."""
    schema = PlatformAnswer.model_json_schema(mode="validation")
    _spell_defaults(schema)
    _remove_variables(schema)
    return _text("The platform's answer to brama-supervisor", schema)


def _text(title: str, schema: dict[str, Any]) -> str:
    whole = {"$schema": _DIALECT, "title": title} | schema
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _remove_variables(node: Any) -> None:
    """Take ``${NAME}`` out of what a value may be."""
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in parts:
        _remove_variables(part)
    if not isinstance(node, dict):
        return
    if isinstance(pattern := node.get("pattern"), str):
        node["pattern"] = pattern.removesuffix(f"|{VARIABLE_PATTERN}")
    choices = node.get("anyOf", [])
    left = [choice for choice in choices if choice.get("pattern") != VARIABLE_PATTERN]
    if len(left) == 1 < len(choices):
        del node["anyOf"]
        node |= left[0]
    elif choices:
        node["anyOf"] = left


def _spell_defaults(node: Any) -> None:
    """Write defaults as an operator would (``45s``) and leave out what only this generator needs."""
    if isinstance(node, list):
        for item in node:
            _spell_defaults(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    if "default" in node:
        default = _spell(node["default"], node)
        if default is None or (isinstance(node["default"], dict) and "$ref" in node):
            del node["default"]  # a section's defaults stand at its keys
        else:
            node["default"] = default
    for item in node.values():
        _spell_defaults(item)
    node.pop("x-brama", None)


def _spell(default: Any, schema: dict[str, Any]) -> Any:
    if isinstance(default, dict) and isinstance(schema.get("additionalProperties"), dict):
        return {key: _spell(item, schema["additionalProperties"]) for key, item in default.items()}
    kinds = [schema.get("x-brama"), *(part.get("x-brama") for part in schema.get("anyOf", ()))]
    kind = next((kind for kind in kinds if kind), None)
    if kind not in _FORMATS or not isinstance(default, int | float):
        return default
    return _FORMATS[kind](default)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "brama.schema.json").write_text(schema_text(), encoding="utf-8")
    (folder / "bots_source.schema.json").write_text(answer_schema_text(), encoding="utf-8")
