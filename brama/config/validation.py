"""Validates parts of the file against their models and says in an operator's words what is wrong.

A part with wrong keys is validated again without them, so that later checks see all that is right.
"""

import difflib
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from brama.config.readers import EMPTY, describe
from brama.config.report import Location, Report

_Model = TypeVar("_Model", bound=BaseModel)


def validate(model: type[_Model], raw: Any, report: Report, prefix: Location = ()) -> _Model | None:
    """Return ``raw`` as ``model``, wrong keys replaced by their defaults and reported.

    A key that is wrong counts as broken from then on: that it is missing is no second mistake.

    Args:
        model: what ``raw`` must be.
        raw: a part of the file; it stays as it is.
        report: takes what is wrong.
        prefix: where ``raw`` stands in the file.

    Returns:
        None if nothing can be made of it.
    """
    is_copied = False
    while True:
        try:
            return model.model_validate(raw, context={"source": "file"})
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=True)
        found = [((*prefix, *problem["loc"]), problem) for problem in problems]
        for location, problem in found:
            text = _explain(problem, model)
            report.add(location, report.empty_text(location) if text == EMPTY else text)
        report.broken.update(location for location, _ in found)
        if not is_copied:
            raw, is_copied = deepcopy(raw), True
        removed = [_remove(raw, problem["loc"]) for problem in problems]
        if not any(removed) or any(problem["type"] == "missing" for problem in problems):
            return None


def nearest(word: str, known: list[str]) -> str:
    """Return ``; did you mean x?`` when one of ``known`` is close to ``word``, else the list of them."""
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known)}"


def _explain(problem: ErrorDetails, model: type[BaseModel]) -> str:
    location = problem["loc"]
    match problem["type"]:
        case "brama":
            return problem["msg"]
        case "missing":
            return "is missing"
        case "extra_forbidden":
            known = sorted(_keys_at(model, location[:-1]))
            return "is not known" + nearest(str(location[-1]), known)
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"must be a mapping (key: value), not {describe(problem['input'])}"
        case "list_type" | "tuple_type":
            return f"must be a list, not {describe(problem['input'])}"
    return problem["msg"][:1].lower() + problem["msg"][1:]


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """Return the keys known to the section at ``location`` below ``model``."""
    for step in location:
        field = model.model_fields.get(str(step))
        inner = next(_models_in(field.annotation), None) if field else None
        if inner is not None:
            model = inner
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _remove(raw: Any, location: Location) -> bool:
    """Remove the key at ``location``, or the one that holds its list; return whether there was one."""
    owner, key, part = None, None, raw
    for step in location:
        if isinstance(part, dict) and step in part:
            owner, key, part = part, step, part[step]
        elif isinstance(part, list) and isinstance(step, int) and step < len(part):
            part = part[step]
        else:
            break
    if owner is None:
        return False
    del owner[key]
    return True
