"""YAML → validated declaration, with every fault's file, key, line and mend, all at once."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from kdgov.errors import DeclarationError, Fault, InputError
from kdgov.safe_parse import guard_yaml
from kdgov.visible_text import visible

Location = tuple[str | int, ...]
_MOST_ENTRIES = 200_000


class Declared(BaseModel):
    """Base of everything read from a user's file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


DeclaredT = TypeVar("DeclaredT", bound=BaseModel)


def read_yaml(path: Path) -> tuple[Any, dict[Location, int]]:
    """A YAML file's value and the line of every key and list entry, counted from 1.

    Duplicate keys are faults: YAML would silently keep the last one.

    Raises:
        InputError: if the file is absent, not UTF-8, not YAML, or repeats a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(
            "there is no such file",
            where=str(path),
            mend="Check the path; it is relative to the file that names it, then to the working folder.",
        ) from error
    except IsADirectoryError as error:
        raise InputError("is a folder, not a file", where=str(path), mend="Name the YAML file itself.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(path), mend="Save the file as UTF-8.") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), mend="Check the path and its permissions.") from error
    return parse_yaml(text, file=str(path))


def parse_yaml(text: str, *, file: str) -> tuple[Any, dict[Location, int]]:
    """As `read_yaml`, for text already at hand; ``file`` names it in messages."""
    guard_yaml(text, file=file)
    try:
        node, value = _parsed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        column = f", column {mark.column + 1}" if mark else ""
        fault = Fault(
            file=file,
            key="",
            line=line,
            what=f"is not valid YAML: {error.problem}{column}",
            mend="Correct the syntax at that line; check indentation, colons and quotes.",
        )
        raise DeclarationError([fault]) from error
    except (yaml.YAMLError, ValueError, AttributeError, LookupError, TypeError, ArithmeticError) as error:
        # What `!!timestamp x` or `!!bool x` does inside the constructors of PyYAML.
        raise InputError(f"is not valid YAML: {error}", where=file, mend="Save the file as plain UTF-8 YAML.") from error
    lines: dict[Location, int] = {}
    faults = list(_walk(node, (), lines, file)) if node is not None else []
    if faults:
        raise DeclarationError(faults)
    return value, lines


def _parsed(text: str) -> tuple[yaml.Node | None, Any]:
    """The document as nodes with their lines, and as plain values; both from one reading."""
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for kind in (fast, yaml.SafeLoader):
        loader = kind(text)
        try:
            node = loader.get_single_node()
            return node, None if node is None else loader.construct_document(node)
        except yaml.YAMLError:
            # libyaml words its faults more tersely: the plain reader finds them again and says more.
            if kind is yaml.SafeLoader:
                raise
        finally:
            loader.dispose()
    raise AssertionError("a reader answers or raises")


def _walk(node: yaml.Node, at: Location, lines: dict[Location, int], file: str, above: tuple[yaml.Node, ...] = ()) -> Iterator[Fault]:
    if any(node is ancestor for ancestor in above):
        # An alias inside its own anchor: YAML allows it, no declaration can mean it.
        line = node.start_mark.line + 1
        yield Fault(file=file, key=dotted(at), line=line, what="holds itself: the reference is circular", mend="Break the circle.")
        return
    if len(lines) > _MOST_ENTRIES:
        # References to references grow without bound; nobody writes so many entries by hand.
        yield Fault(
            file=file, key=dotted(at), line=0, what=f"has more than {_MOST_ENTRIES:,} entries", mend="Write fewer, or fewer references."
        )
        return
    above = (*above, node)
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            here = (*at, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                yield Fault(
                    file=file,
                    key=dotted(here),
                    line=line,
                    what=f"is written twice (first on line {lines[here]})",
                    mend="Keep one of the two.",
                )
            lines[here] = line
            if len(lines) > _MOST_ENTRIES + 1:
                return
            yield from _walk(child, here, lines, file, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            lines[(*at, index)] = child.start_mark.line + 1
            if len(lines) > _MOST_ENTRIES + 1:
                return
            yield from _walk(child, (*at, index), lines, file, above)


def dotted(location: Sequence[str | int]) -> str:
    """``("criteria", 2, "margin")`` → ``criteria[2].margin``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def load(path: Path, model: type[DeclaredT], *, changed: Callable[[Any], Any] | None = None) -> DeclaredT:
    """Read one declared file into its model; ``changed`` may set keys before they are checked.

    Raises:
        InputError: if the file cannot be read; `DeclarationError` names every fault in it.
    """
    value, lines = read_yaml(path)
    return validate(value if changed is None else changed(value), model, file=str(path), lines=lines)


def validate(value: Any, model: type[DeclaredT], *, file: str, lines: Mapping[Location, int] | None = None) -> DeclaredT:
    """A parsed value as its model; ``lines`` from `read_yaml` places the faults.

    Raises:
        DeclarationError: naming every fault.
    """
    if not isinstance(value, Mapping):
        what = "is empty" if value is None else f"holds a {_kind(value)}, not a mapping of keys"
        raise DeclarationError(
            [Fault(file=file, key="", what=what, mend=f"Start it with `schema: {_schema_of(model)}` and one `key: value` per line.")]
        )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise DeclarationError([_fault(item, model, value, file, lines or {}) for item in error.errors()]) from error


def _fault(item: Any, model: type[BaseModel], value: Any, file: str, lines: Mapping[Location, int]) -> Fault:
    location = _real_location(item["loc"], value, has_key=item["type"] in ("missing", "extra_forbidden"))
    line = next((lines[location[:n]] for n in range(len(location), -1, -1) if location[:n] in lines), 0)
    what, mend = _explain(item, model, location)
    return Fault(file=file, key=dotted(location), line=line, what=what, mend=mend)


def _real_location(location: Sequence[str | int], value: Any, *, has_key: bool) -> Location:
    # Unions put the tag or type they tried into pydantic's location; the user's file has no such key, but where a key is what is wrong.
    kept: list[str | int] = []
    for position, part in enumerate(location):
        is_last = position == len(location) - 1
        after_index = position > 0 and isinstance(location[position - 1], int)
        if after_index and isinstance(value, Mapping) and part == value.get("kind"):
            continue
        is_key = isinstance(value, Mapping) and part in value
        is_entry = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if is_key or is_entry:
            value = value[part]
        elif not (is_last and has_key):
            continue
        kept.append(part)
    return tuple(kept)


def _explain(item: Any, model: type[BaseModel], location: Location) -> tuple[str, str]:
    kind, context = item["type"], item.get("ctx") or {}
    given = item.get("input")
    match kind:
        case "extra_forbidden":
            known = sorted(_keys_at(model, location[:-1]))
            near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
            hint = f"Did you mean `{near[0]}`?" if near else f"Known keys here: {', '.join(known)}."
            return "is not a known key", hint
        case "missing":
            return "is missing", "Add this key; it has no default."
        case "literal_error":
            return f"{given!r} is not one of the allowed values", f"Write one of {context.get('expected', '')}."
        case "union_tag_invalid" | "union_tag_not_found":
            return (
                f"has no known `{str(context.get('discriminator', 'kind')).strip(chr(39))}`",
                f"Write one of {context.get('expected_tags', 'the documented kinds')}.",
            )
        case "value_error":
            what, _, mend = str(context.get("error", item["msg"])).partition("\n")
            return what, mend.strip() or "Correct the value."
        case _ if kind.endswith(("_type", "_parsing")):
            return f"{given!r} is a {_kind(given)}; {item['msg'][0].lower()}{item['msg'][1:]}", "Write a value of that type."
        case _:
            return f"{given!r}: {item['msg'][0].lower()}{item['msg'][1:]}", "Write a value within the stated bounds."


def _keys_at(model: Any, location: Sequence[str | int]) -> set[str]:
    models = {model}
    for part in location:
        inner: set[Any] = set()
        for candidate in models:
            if isinstance(part, int):
                inner.add(candidate)
            else:
                fields = {(f.alias or n): f for n, f in candidate.model_fields.items()}
                if part in fields:
                    inner |= set(_models_in(fields[part].annotation))
        models = inner
    return {(f.alias or n) for candidate in models for n, f in candidate.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    origin = typing.get_origin(annotation)
    if origin in (Union, types.UnionType, list, tuple, dict, typing.Annotated) or origin is not None:
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)


def _schema_of(model: type[BaseModel]) -> str:
    field = model.model_fields.get("schema_") or model.model_fields.get("schema")
    arguments = typing.get_args(field.annotation) if field else ()
    return str(arguments[0]) if arguments else "…"


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    names: dict[type, str] = {bool: "true/false value", int: "whole number", float: "number", str: "text", list: "list", dict: "mapping"}
    return names.get(type(value), type(value).__name__)


def read_together(readers: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What every reader returns, by name; where several fail, the faults of all of them at once.

    Raises:
        InputError: if a file is at fault; as `DeclarationError` where several are.
    """
    read: dict[str, Any] = {}
    refused: list[InputError] = []
    for name, reader in readers.items():
        try:
            read[name] = reader()
        except InputError as error:
            refused.append(error)
    if len(refused) > 1:
        raise DeclarationError(dict.fromkeys(fault for error in refused for fault in error.faults)) from refused[0]
    if refused:
        raise refused[0]
    return read


def resolve(name: str, *, beside: Path) -> Path:
    """A path as declared: relative to the file that names it, then to the working folder; absolute as it is.

    The first that exists wins; if neither does, the one beside the file is returned for the message.

    Raises:
        InputError: if it is no name that a file can have.
    """
    try:
        path = Path(name).expanduser()
        near = beside.parent / path
        found = path if path.is_absolute() or (path.exists() and not near.exists()) else near
        found.exists()
    except (OSError, RuntimeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"names {visible(name)[:60]!r}, no name of a file ({why})", where=str(beside), mend="Correct the path.") from error
    return found
