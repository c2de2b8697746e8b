"""The types of single settings, each with its place in the JSON schema."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, SecretStr, WithJsonSchema

from brama.config import values
from brama.config.readers import (
    as_ages,
    as_arguments,
    as_flag,
    as_networks,
    as_secret,
    as_text,
    as_uids,
    as_variables,
    at_least_a_second,
    in_language,
    matching,
    positive,
    whole_number,
)
from brama.update_kinds import UPDATE_KINDS

#: A string that is or holds a variable of the environment; every setting may be one.
VARIABLE_PATTERN = r"\$\{[^}]+\}"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _text_schema(pattern: str, kind: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "pattern": f"^(?:{pattern})$|{VARIABLE_PATTERN}", "x-brama": kind}
    )


def _whole_schema(lowest: int, highest: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": lowest, "maximum": highest}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": VARIABLE_PATTERN}]})


def _after(check: Callable[[Any], Any], parse: Callable[..., Any]) -> BeforeValidator:
    return BeforeValidator(lambda value, info: check(parse(value, info)))


_duration = in_language(values.parse_duration, float, "s")
_size = in_language(values.parse_size, int, "MB")
_DURATION_SCHEMA = _text_schema(r"([0-9]+(\.[0-9]+)? ?(ms|s|m|h|d) ?)+", "duration")
_SIZE_SCHEMA = _text_schema(r"[0-9]+(\.[0-9]+)? ?([KMGkmg]?i?[Bb]|[KMGkmg])", "size")

#: Seconds, more than 0; written ``45s``.
Duration = Annotated[float, _after(positive, _duration), _DURATION_SCHEMA]
#: Seconds, 0 allowed; written ``45s``.
DurationOrZero = Annotated[float, BeforeValidator(_duration), _DURATION_SCHEMA]
#: Seconds, at least 1, or 0 for never; written ``30m``.
IdleTime = Annotated[float, _after(at_least_a_second, _duration), _DURATION_SCHEMA]
#: Seconds for each kind of update, None: never; written ``{callback_query: 150s, message: none}``.
Ages = Annotated[
    dict[str, Duration | None],
    BeforeValidator(as_ages),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"enum": list(UPDATE_KINDS)},
            "additionalProperties": {"anyOf": [{"const": "none"}, _DURATION_SCHEMA.json_schema]},
        }
    ),
]
#: Values are text as written, numbers and booleans included.
VariableValues = Annotated[
    dict[str, str],
    BeforeValidator(as_variables),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
]
#: Arguments of a process, as written.
Arguments = Annotated[
    tuple[str, ...],
    BeforeValidator(as_arguments),
    WithJsonSchema({"type": "array", "items": {"type": ["string", "number", "boolean"]}}),
]
#: Bytes, more than 0; written ``150MB``.
Size = Annotated[int, _after(positive, _size), _SIZE_SCHEMA]
#: 0 to 1; written ``5%``.
Share = Annotated[
    float,
    BeforeValidator(in_language(values.parse_share, float, "%")),
    _text_schema(r"[0-9]+(\.[0-9]+)? ?%", "share"),
]
#: Both ends included; written ``20000-29999``.
UidRange = Annotated[
    range,
    BeforeValidator(as_uids),
    PlainSerializer(lambda uids: f"{uids[0]}-{uids[-1]}"),
    _text_schema(r"[0-9]+ ?- ?[0-9]+", "uids"),
]
#: Whole number of at least 1.
Count = Annotated[int, BeforeValidator(whole_number(1, 10**9)), _whole_schema(1, 10**9)]
#: Whole number of at least 0.
CountOrZero = Annotated[int, BeforeValidator(whole_number(0, 10**9)), _whole_schema(0, 10**9)]
#: Job workers, and jobs that one of them runs at a time.
Workers = Annotated[int, BeforeValidator(whole_number(1, 256)), _whole_schema(1, 256)]
Slots = Annotated[int, BeforeValidator(whole_number(1, 1000)), _whole_schema(1, 1000)]
#: Connections of one bot, as setWebhook takes them.
Connections = Annotated[int, BeforeValidator(whole_number(1, 100)), _whole_schema(1, 100)]
#: TCP port; 0 lets the kernel choose one.
Port = Annotated[int, BeforeValidator(whole_number(0, 65535)), _whole_schema(0, 65535)]
Flag = Annotated[
    bool,
    BeforeValidator(as_flag),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": VARIABLE_PATTERN}]}),
]
#: Never shown: not by repr, not in errors.
Secret = Annotated[
    SecretStr,
    BeforeValidator(as_secret),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
Text = Annotated[str, BeforeValidator(as_text), WithJsonSchema({"type": "string", "minLength": 1})]
#: An http address without the slash at its end.
Address = Annotated[
    str,
    BeforeValidator(lambda value: as_text(value).rstrip("/")),
    WithJsonSchema({"type": "string", "pattern": f"^https?://|{VARIABLE_PATTERN}"}),
]
#: An http address as it is written, which may hold a key.
Link = Annotated[
    str,
    BeforeValidator(as_text),
    WithJsonSchema({"type": "string", "pattern": f"^https?://|{VARIABLE_PATTERN}"}),
]
FilePath = Annotated[
    Path, BeforeValidator(lambda value: Path(as_text(value))), WithJsonSchema({"type": "string"})
]
#: Networks as ``149.154.160.0/20``; a lone address is a network of one.
Networks = Annotated[
    tuple[str, ...],
    BeforeValidator(as_networks),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
]
#: ``package.module``
ModuleName = Annotated[
    str,
    BeforeValidator(matching(_MODULE, "the name of a module; write it like package.module")),
    WithJsonSchema({"type": "string", "pattern": f"^(?:{_MODULE.pattern})$"}),
]
#: ``package.module:function``
EntryPoint = Annotated[
    str,
    BeforeValidator(matching(_ENTRY, "an entry point; write it like package.module:function")),
    _text_schema(_ENTRY.pattern, "entry"),
]
#: The name of an environment variable.
VariableName = Annotated[
    str,
    BeforeValidator(matching(_VARIABLE_NAME, "the name of a variable; write it like BOT_TOKEN")),
    _text_schema(_VARIABLE_NAME.pattern, "variable"),
]
