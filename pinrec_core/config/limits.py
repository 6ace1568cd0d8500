"""Type and limits of a setting in words, from the JSON schema that pydantic makes of its section."""

from __future__ import annotations

from typing import Any

_WORDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "none"}
_LIMITS = {"minimum": "at least {}", "exclusiveMinimum": "above {}", "maximum": "at most {}",
           "exclusiveMaximum": "below {}", "minLength": "at least {} letters", "maxLength": "at most {} letters",
           "minItems": "at least {} of them", "minProperties": "at least {} of them", "pattern": "matches {}"}
Schema = dict[str, Any]


def type_of(own: Schema, whole: Schema) -> str:
    """The type of a property.

    >>> type_of({"type": "array", "items": {"type": "string"}}, {})
    'list of text'
    """
    own = _resolved(own, whole)
    if "enum" in own:
        return "one of " + ", ".join(map(str, own["enum"]))
    if "anyOf" in own:
        return " or ".join(dict.fromkeys(type_of(one, whole) for one in own["anyOf"]))
    if own.get("type") == "array":
        return f"list of {type_of(own.get('items', {}), whole)}"
    if own.get("type") == "object":
        if "properties" in own:
            return "section"
        return f"table of {type_of(_values(own), whole)}"
    return _WORDS.get(own.get("type", ""), "value")


def limits_of(own: Schema, whole: Schema) -> str:
    """The limits of a property, those of what it holds too; "" without any.

    >>> limits_of({"type": "number", "minimum": 0.0, "maximum": 1.0}, {})
    'at least 0, at most 1'
    """
    own = _resolved(own, whole)
    if "properties" in own:
        return ""  # its keys have their own
    found = [text.format(_short(own[name])) for name, text in _LIMITS.items() if name in own]
    found += [limits for one in own.get("anyOf", ()) if (limits := limits_of(one, whole))]
    held = own.get("items") if own.get("type") == "array" else _values(own) if own.get("type") == "object" else None
    if held and (limits := limits_of(held, whole)):
        found.append(f"each {limits}")
    return ", ".join(found)


def _values(own: Schema) -> Schema:
    """Schema of the values of a table."""
    patterns = list(own.get("patternProperties", {}).values())
    found = patterns[0] if patterns else own.get("additionalProperties", {})
    return found if isinstance(found, dict) else {}


def _resolved(own: Schema, whole: Schema) -> Schema:
    if "$ref" in own:
        return whole["$defs"][own["$ref"].rsplit("/", 1)[-1]]
    return own


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
