"""A policy as people write it: YAML, with every fault named by file and line."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from pydantic import ValidationError

from chimera.errors import InvalidInput
from chimera.models.gate.policy import Policy
from chimera.models.record import canonical_json

MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 60

Path = tuple[str | int, ...]


class InvalidPolicy(InvalidInput):
    """The policy cannot be used."""


class _Loader(yaml.SafeLoader):
    """YAML as JSON knows it: what looks like a date stays a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_policy(text: str, source: str) -> Policy:
    """The policy in a YAML text.

    Args:
        text: the file's text.
        source: its name, for messages.

    Raises:
        InvalidPolicy: it is none; the message has a line for each fault: `acme.yaml:12: rules.3.patern: ...`.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidPolicy(f"{source}: larger than {MAX_BYTES} bytes")
    lines: dict[Path, int] = {}
    try:
        value = _value(text, lines)
        document = canonical_json(value)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise InvalidPolicy(f"{source}:{mark.line + 1 if mark else 1}: {exc.problem or 'no YAML'}") from None
    except yaml.YAMLError as exc:
        raise InvalidPolicy(f"{source}: no YAML: {str(exc).splitlines()[0]}") from None
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidPolicy(f"{source}: holds what JSON does not: {exc}") from None
    try:
        return Policy.model_validate_json(document)
    except ValidationError as exc:
        faults = [f"{source}:{_line(lines, path)}: {_named(path)}{message}" for path, message in _faults(exc)]
        raise InvalidPolicy("\n".join(faults)) from None


def located(text: str, source: str, places: Iterable[tuple[Path, str]]) -> list[str]:
    """Messages about places in a policy's text that `read_policy` has read, each with file, line and key."""
    lines: dict[Path, int] = {}
    _value(text, lines)
    return [f"{source}:{_line(lines, path)}: {_named(path)}{message}" for path, message in places]


def write_policy(policy: Policy) -> str:
    """The policy as YAML, without what it leaves to defaults."""
    said = json.loads(policy.model_dump_json(exclude_defaults=True, exclude_none=True))
    return yaml.safe_dump({"name": policy.name} | said, sort_keys=False, allow_unicode=True, width=110)


def _value(text: str, lines: dict[Path, int]) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        _check(node, (), lines, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check(node: yaml.Node, path: Path, lines: dict[Path, int], seen: set[int]) -> None:
    """Notes the line of everything; refuses keys that come twice, and aliases."""
    lines[path] = node.start_mark.line + 1
    if len(path) > _MAX_DEPTH:
        raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=node.start_mark)
    if id(node) in seen:  # a few lines of them can stand for a text without end
        raise yaml.MarkedYAMLError(problem="aliases (*name) are not taken: write it out", problem_mark=node.start_mark)
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _check(item, (*path, number), lines, seen)
    elif isinstance(node, yaml.MappingNode):
        known: set[str] = set()
        for key, item in node.value:
            name = str(key.value)
            if name in known:
                raise yaml.MarkedYAMLError(problem=f"the key {name!r} is here twice", problem_mark=key.start_mark)
            known.add(name)
            lines[*path, name] = key.start_mark.line + 1
            _check(item, (*path, name), lines, seen)
            lines[*path, name] = key.start_mark.line + 1


def _faults(exc: ValidationError) -> Iterator[tuple[Path, str]]:
    for fault in exc.errors(include_url=False, include_context=False):
        path = fault["loc"]
        if fault["type"] == "extra_forbidden":
            known = ", ".join(sorted(_fields(path[:-1])))
            yield path, f"no such key; known here: {known}" if known else "no such key"
        else:
            yield path, fault["msg"].removeprefix("Value error, ")


def _fields(path: Path) -> list[str]:
    """The keys that a policy may have at this place, read off its JSON Schema."""
    schema: Any = Policy.model_json_schema()
    definitions = schema.get("$defs", {})
    here = schema
    for step in path:
        here = here.get("items") if isinstance(step, int) else _step(here, step)
        here = _resolved(here, definitions)
        if here is None:
            return []
    return list(here.get("properties", {}))


def _step(schema: dict[str, Any], name: str) -> Any:
    return schema.get("properties", {}).get(name) or schema.get("additionalProperties")


def _resolved(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema itself, where it is named or may be null."""
    if not isinstance(schema, dict):
        return None
    for option in schema.get("anyOf", []):
        if option.get("type") != "null":
            schema = option
            break
    reference = schema.get("$ref")
    return definitions.get(reference.rsplit("/", 1)[-1]) if reference else schema


def _line(lines: dict[Path, int], path: Path) -> int:
    """The line of the place, or of the nearest that is in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _named(path: Path) -> str:
    return f"{'.'.join(map(str, path))}: " if path else ""
