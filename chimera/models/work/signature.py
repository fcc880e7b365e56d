"""Signatures of a user's functions, as types that check JSON and have a JSON Schema."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NotRequired, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from typing_extensions import TypedDict  # pydantic does not take typing's before Python 3.12

from chimera.errors import InvalidInput
from chimera.models.work.json_schema import JsonSchema, UnusableSchema


def describe(exc: ValidationError, limit: int = 5) -> str:
    """What a validation found, field by field, without the values: `rows.16.text: Field required`."""
    faults = exc.errors(include_url=False, include_context=False, include_input=False)
    text = "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'value'}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in faults[:limit]
    )
    return text + (f"; and {len(faults) - limit} more" if len(faults) > limit else "")


def arguments_of(
    owner: str, function: Callable[..., Any], signature: inspect.Signature, without: Sequence[str] = ()
) -> TypeAdapter[dict[str, Any]]:
    """A type with a key for each parameter, which refuses unknown names.

    Raises:
        InvalidInput: a parameter has no annotation, cannot be given by name, or has a type that is no JSON.
    """
    hints = hints_of(owner, function)
    keys: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
            raise InvalidInput(f"{owner}: parameter {parameter} cannot be given by name in JSON")
        if parameter.name not in hints:
            raise InvalidInput(f"{owner}: parameter {parameter.name!r} has no type annotation")
        if parameter.name not in without:
            hint = hints[parameter.name]
            keys[parameter.name] = hint if parameter.default is parameter.empty else NotRequired[hint]
    make_typed_dict: Any = TypedDict  # mypy knows its literal form only
    arguments = make_typed_dict(function.__name__, keys)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid")
    return json_adapter(f"{owner}: its parameters", arguments)


def description_of(function: Callable[..., Any], said: str | None) -> str:
    """What is said of a function: else the first paragraph of its docstring, on one line."""
    text = (inspect.getdoc(function) or "").split("\n\n")[0] if said is None else said
    return " ".join(text.split())


def checked_examples(
    owner: str, arguments: TypeAdapter[dict[str, Any]], examples: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], ...]:
    """Examples of calls, as JSON-compatible values.

    Raises:
        InvalidInput: one does not fit the parameters; the message says why.
    """
    try:
        return tuple(
            arguments.dump_python(arguments.validate_python(dict(example)), mode="json", by_alias=True, round_trip=True)
            for example in examples
        )
    except (ValidationError, TypeError, ValueError) as exc:
        why = describe(exc) if isinstance(exc, ValidationError) else str(exc)
        raise InvalidInput(f"{owner}: an example does not fit its parameters: {why}") from None


def json_adapter(what: str, hint: Any) -> TypeAdapter[Any]:
    """What checks values of this type, and has its JSON Schema.

    Raises:
        InvalidInput: the type cannot become a JSON Schema, or not one that is taken; the message says why.
    """
    try:
        adapter = _adapter_of(hint)
        # Some types validate and have no schema, or one that no Judge checks against: said now, not when it is needed.
        JsonSchema(adapter.json_schema())
    except PydanticUserError as exc:
        raise InvalidInput(f"{what} cannot become a JSON Schema: {exc.message}") from exc
    except (LookupError, RecursionError) as exc:  # of pydantic, over a schema that a type says itself
        raise InvalidInput(f"{what} cannot become a JSON Schema: {type(exc).__name__}: {exc}") from exc
    except UnusableSchema as exc:
        raise InvalidInput(f"{what}: the JSON Schema is not taken: {exc}") from exc
    return adapter


def _adapter_of(hint: Any) -> TypeAdapter[Any]:
    try:
        # NaN stays NaN, and is refused as no JSON, instead of becoming null.
        return TypeAdapter(hint, config=ConfigDict(ser_json_inf_nan="constants"))
    except PydanticUserError as exc:
        if exc.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(hint)  # models and the like have a configuration of their own


def hints_of(owner: str, function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function.

    Raises:
        InvalidInput: one names something unknown.
    """
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as exc:
        raise InvalidInput(f"{owner}: an annotation names something unknown: {exc}") from exc
