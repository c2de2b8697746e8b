"""The base of all sections of ``brama.yaml``."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """Base of all sections: immutable; unknown keys are errors; a key without a value is not written."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: Any) -> Any:
        if values is None:
            return {}
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if value is not None}
        return values
