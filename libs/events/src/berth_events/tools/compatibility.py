"""Whether a type's schema may replace the one that was published: every reader of either reads the records of both.

Within one version of a type exactly one change is allowed: a new field with a default. An old reader ignores it, a new
reader fills it in. Descriptions may change. Anything else needs the next version and an upcaster (docs/adr/0008).

Samples cannot show every incompatible change, because no sample has every value of an enumeration or every length. So the
structure of the schemas is compared.
"""

from collections.abc import Iterator
from typing import Any, Final

from berth_events.contracts.schema import JsonSchema

__all__ = ["incompatible_changes"]

_ANNOTATIONS: Final = frozenset({"$schema", "$defs", "title", "description", "examples", "$comment", "deprecated"})
_LOWER: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
_UPPER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
_ONE_SCHEMA: Final = {"items": "[]", "additionalProperties": ".*"}
_SCHEMAS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_STRUCTURE: Final = frozenset({"type", "properties", "required", "enum", "const", *_ONE_SCHEMA, *_SCHEMAS})


def incompatible_changes(published: JsonSchema, current: JsonSchema) -> list[str]:
    """What forbids `current` to replace `published`: a sentence for each change, which begins with the field's path."""
    return list(_compare(_Node(published, published), _Node(current, current), "data"))


class _Node:
    """A schema and the document in which its references point; references are followed."""

    def __init__(self, schema: Any, root: JsonSchema) -> None:
        self.root = root
        self.keywords: JsonSchema = {"const": schema} if isinstance(schema, bool) else dict(schema)
        while "$ref" in self.keywords:
            target = root["$defs"][self.keywords.pop("$ref").rpartition("/")[2]]
            self.keywords = target | self.keywords

    def get(self, keyword: str, default: Any = None) -> Any:
        return self.keywords.get(keyword, default)

    def below(self, schema: Any) -> "_Node":
        return _Node(schema, self.root)


def _compare(old: _Node, new: _Node, path: str) -> Iterator[str]:
    if (before := _kind(old)) != (after := _kind(new)):
        yield f"{path}: changed type, {before} became {after}"
        return
    yield from _fields(old, new, path)
    yield from _values(old, new, path)
    yield from _keywords(old, new, path)
    for keyword, suffix in _ONE_SCHEMA.items():
        if keyword in old.keywords and keyword in new.keywords:
            yield from _compare(old.below(old.get(keyword)), new.below(new.get(keyword)), path + suffix)
        elif keyword in old.keywords or keyword in new.keywords:
            yield f"{path}: changed {keyword}, only one side has it"
    for keyword in _SCHEMAS:
        for one, other in zip(old.get(keyword, ()), new.get(keyword, ()), strict=True):
            yield from _compare(old.below(one), new.below(other), path)


def _kind(node: _Node) -> str:
    parts = [str(node.get("type"))] if "type" in node.keywords else []
    parts += (f"{name} of {len(node.get(name))}" for name in _SCHEMAS if name in node.keywords)
    return ", ".join(parts) or "anything"


def _fields(old: _Node, new: _Node, path: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(before.keys() - after.keys()):
        yield f"{path}.{name}: removed field"
    for name in sorted((after.keys() - before.keys()) & is_required):
        yield f"{path}.{name}: new required field; older records lack it, give it a default"
    for name in (name for name in before if name in after):
        if name in is_required - was_required:
            yield f"{path}.{name}: is required now; older records may lack it"
        if name in was_required - is_required:
            yield f"{path}.{name}: is not required any more; older readers need it"
        yield from _compare(old.below(before[name]), new.below(after[name]), f"{path}.{name}")


def _values(old: _Node, new: _Node, path: str) -> Iterator[str]:
    before, after = _allowed(old), _allowed(new)
    if before is None or after is None:
        if before != after:
            yield f"{path}: changed type, the values are enumerated only on one side"
        return
    if gone := before - after:
        yield f"{path}: narrowed enumeration, older records may hold {', '.join(sorted(gone))}"
    if added := after - before:
        yield f"{path}: widened enumeration, older readers refuse {', '.join(sorted(added))}"


def _allowed(node: _Node) -> set[str] | None:
    if "enum" in node.keywords:
        return {repr(value) for value in node.get("enum")}
    return {repr(node.get("const"))} if "const" in node.keywords else None


def _keywords(old: _Node, new: _Node, path: str) -> Iterator[str]:
    names = (old.keywords.keys() | new.keywords.keys()) - _ANNOTATIONS - _STRUCTURE
    for name in sorted(names):
        before, after = old.get(name), new.get(name)
        if before == after and (name in old.keywords) == (name in new.keywords):
            continue
        if name in _LOWER | _UPPER:
            narrowed = before is None or (after is not None and (after > before) == (name in _LOWER))
            yield f"{path}: {'narrowed' if narrowed else 'widened'} limit, {name} was {before} and is {after}"
        elif name == "default":
            yield f"{path}: changed default, older records that lack the field would mean something else"
        else:
            yield f"{path}: changed {name}, {before} became {after}"
