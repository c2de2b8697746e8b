"""Writes the JSON schema of ``brama.yaml`` that editors complete and check with.

``python -m brama.config.json_schema config/brama.schema.json``
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brama.config.models import Document
from brama.config.values import format_duration, format_size

_FORMATS: dict[str, Callable[[Any], str]] = {
    "duration": format_duration,
    "size": format_size,
    "share": lambda share: f"{share * 100:g}%",
}


def schema_text() -> str:
    """Return the schema, derived from the models; the same models give the same text."""
    schema = Document.model_json_schema(mode="validation")
    schema["title"] = "brama-supervisor configuration"
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["patternProperties"] = {"^x-": {"description": "A place for YAML anchors; nothing reads it."}}
    _spell_defaults(schema)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


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
    Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")
