"""JSON Schemas that others wrote: which of them are taken, and whether a value fits one, in bounded time and memory."""

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

import jsonschema_rs

from chimera.models.record import nesting

# Of its canonical JSON.
MAX_BYTES = 256 * 1024
MAX_DEPTH = 64
# Of all that applies to a value, what it refers to counted each time: a schema of 2 kB can stand for 2^60.
MAX_PARTS = 20_000
MAX_PATTERNS = 64
# A compiled pattern may take so much; one that repeats a repetition a thousand times is refused, in milliseconds.
_PATTERN_BYTES = 1024 * 1024
# What lies in each other, references followed, while it is counted.
_DEEPEST = 150
# What one check may take, in parts that apply to one value times bytes: a second, where all of it is small numbers.
_CHECKED = 200_000_000
# To say where a value does not fit takes longer than to say that it does not: parts times bytes.
_EXPLAINED = 50_000_000
# What is said of a value that is not checked: a person decides.
UNCHECKED = "it was not checked"

_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas"})
_ELSEWHERE = frozenset({"$defs", "definitions"})
_VALUES = frozenset({"enum", "const", "default", "examples", "required", "type"})
# What makes of a reference something else than a place in this schema.
_REFUSED = frozenset({"$id", "$dynamicRef", "$recursiveRef", "$vocabulary"})


class UnusableSchema(ValueError):
    """A JSON Schema that is none, or that a value cannot be checked against in bounded time; the message says why."""


class JsonSchema:
    """A JSON Schema (2020-12) that was looked at before it is used. What it refers to is inside it.

    Raises:
        UnusableSchema: it is none that is taken.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        if not isinstance(schema, dict):
            raise UnusableSchema("it is no mapping")
        self._schema = schema
        if nesting(schema) > MAX_DEPTH:
            raise UnusableSchema(f"it is nested more than {MAX_DEPTH} deep")
        try:
            size = len(json.dumps(schema, allow_nan=False))
        except (TypeError, ValueError) as exc:
            raise UnusableSchema(f"it is no JSON: {exc}") from None
        if size > MAX_BYTES:
            raise UnusableSchema(f"it has {size} bytes, and at most {MAX_BYTES} are taken")
        counting = _Counting(schema)
        self._parts, self._at_once = counting.parts_of(schema)
        self._is_recursive = counting.is_recursive
        # What a compiled one takes of a cache's memory.
        self.weight = 1 + counting.patterns
        _ = self._validator

    def fault(self, value: Any, size: int) -> str | None:
        """Where a value of `size` bytes of JSON does not fit, and why, without its text; None where it does.

        The path within the schema, which the skill's author wrote: `properties.reply.maxLength`. Of a schema that is
        recursive, or too large for the value, it is not looked for. UNCHECKED where to check it takes too long.
        """
        if self._at_once * size > _CHECKED:
            return UNCHECKED
        if self._validator.is_valid(value):
            return None
        if self._is_recursive or self._parts * size > _EXPLAINED:
            return "it does not fit"
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as exc:
            return ".".join(str(step) for step in exc.schema_path)
        return None

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft202012Validator:
        """Its patterns run on an engine whose time is linear in the text."""
        options = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES)
        return compiled(self._schema, options)


def compiled(schema: dict[str, Any], options: jsonschema_rs.RegexOptions) -> jsonschema_rs.Draft202012Validator:
    """What checks values against a schema, ready to be used; it refers to nothing outside of it.

    Raises:
        UnusableSchema: it is no JSON Schema.
    """
    try:
        return jsonschema_rs.Draft202012Validator(schema, pattern_options=options, retriever=_nothing_elsewhere)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as exc:
        raise UnusableSchema(str(exc).splitlines()[0]) from None


def _nothing_elsewhere(uri: str) -> Any:
    raise ValueError(f"{uri} lies outside of the schema")


class Parts(NamedTuple):
    """How much a schema stands for."""

    all: int
    # Of these, what may apply to one and the same value, at the most.
    at_once: int


_ONE = Parts(1, 1)


def _sum(parts: Iterable[Parts]) -> Parts:
    found = [*parts]
    return Parts(sum(each.all for each in found), sum(each.at_once for each in found))


class _Counting:
    """Counts what a schema stands for, its references followed."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.is_recursive = False
        self.patterns = 0
        self._root = root
        self._known: dict[str, Parts] = {}
        self._following: list[str] = []
        self._depth = 0

    def parts_of(self, schema: object) -> Parts:
        """The parts of a schema.

        Raises:
            UnusableSchema: they are too many, or it refers to what cannot be followed.
        """
        if not isinstance(schema, dict):
            return _ONE
        if refused := _REFUSED & schema.keys():
            raise UnusableSchema(f"it has {min(refused)}, which is not taken")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UnusableSchema(f"it is more than {_DEEPEST} deep, with all that it refers to")
        parts = _ONE
        for key, value in schema.items():
            parts = _sum([parts, self._parts_of_keyword(key, value)])
            if parts.all > MAX_PARTS:
                raise UnusableSchema(f"it stands for more than {MAX_PARTS} parts, with all that it refers to")
        self._depth -= 1
        return parts

    def _parts_of_keyword(self, key: str, value: object) -> Parts:
        if key in _ELSEWHERE:
            return _ONE  # counted where it is referred to
        if key in _VALUES:
            return Parts(len(value), len(value)) if isinstance(value, list) else _ONE
        if key == "$ref":
            return self._parts_behind(value)
        if key in _NAMED and isinstance(value, dict):
            self._count_patterns(len(value) if key == "patternProperties" else 0)
            found = [self.parts_of(each) for each in value.values()]
            # A value stands under one name.
            at_once = max((each.at_once for each in found), default=0) if key == "properties" else None
            return _sum(found) if at_once is None else Parts(_sum(found).all, at_once)
        self._count_patterns(key == "pattern")
        return _sum(map(self.parts_of, value)) if isinstance(value, list) else self.parts_of(value)

    def _count_patterns(self, more: int) -> None:
        self.patterns += more
        if self.patterns > MAX_PATTERNS:
            raise UnusableSchema(f"it has more than {MAX_PATTERNS} patterns")

    def _parts_behind(self, reference: object) -> Parts:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise UnusableSchema("it refers to what is no place in it, as #/$defs/Name is")
        if reference in self._following:
            self.is_recursive = True
            return _ONE
        if reference not in self._known:
            self._following.append(reference)
            self._known[reference] = self.parts_of(self._place(reference))
            self._following.pop()
        return self._known[reference]

    def _place(self, reference: str) -> object:
        here: Any = self._root
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                here = here[int(name)] if isinstance(here, list) else here[name]
            except (KeyError, IndexError, TypeError, ValueError):
                raise UnusableSchema(f"there is no {reference} in it") from None
        return here
