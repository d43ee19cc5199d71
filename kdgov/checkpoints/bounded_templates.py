"""Jinja templates from somebody else's hand: in a sandbox, and bounded in time, memory and length.

Jinja's own sandbox keeps a template from Python's internals. It bounds neither time nor memory: ``{{ "a" * 10**10 }}``, a string
doubled forty times, or loops in loops end the machine. Both kinds of template that reach a model pass through here: the tasks of
suites (lm-eval compiles them without a sandbox), and the chat templates of checkpoints (transformers').
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment

from kdgov.errors import InputError
from kdgov.time_limit import TimeLimitError, time_limit

LONGEST_TEXT = 4_000_000
"""Characters a template may put together at any point."""
LONGEST_S = 10.0
"""Seconds one rendering may take."""
_LARGEST_NUMBER = 1_000_000
_WIDTHS = ("center", "ljust", "rjust", "zfill", "expandtabs", "indent", "wordwrap", "batch", "slice", "truncate")
"""Methods and filters whose numbers are lengths."""
_LONG_WIDTH = re.compile(r"\d{6,}")


class _BoundedCode(CodeGenerator):
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's own name
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class _Bounds:
    """The bounds, mixed in before Jinja's sandbox."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})
    code_generator_class: Any = _BoundedCode

    def __init__(self, *positional: Any, **options: Any) -> None:
        super().__init__(*positional, **options)
        filters: dict[str, Any] = self.filters  # type: ignore[attr-defined]
        filters.update({name: _bounded_filter(name, plain) for name, plain in list(filters.items())})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Both sides' result, if it is of a size that a prompt can have."""
        size = _length(left) + _length(right)
        if operator == "*":
            size = max(_length(left) * _number(right), _length(right) * _number(left))
        elif operator == "**":
            size = _number(left).bit_length() * _number(right)
        elif operator == "%" and isinstance(left, str):
            values = right if isinstance(right, tuple) else (right,)
            endless = _LONG_WIDTH.search(left) or ("*" in left and max(map(_number, values), default=0) > _LARGEST_NUMBER)
            size = LONGEST_TEXT + 1 if endless else left.count("%") * max(map(_length, values), default=0)
        _refuse_above(size)
        return super().call_binop(context, operator, left, right)  # type: ignore[misc]

    def call(self, context: Any, called: Any, *positional: Any, **named: Any) -> Any:  # noqa: D102 - as Jinja's
        owner = getattr(called, "__self__", None)
        if isinstance(owner, str):
            _refuse_growth(getattr(called, "__name__", ""), owner, [*positional, *named.values()])
        return _bounded(super().call(context, called, *positional, **named))  # type: ignore[misc]

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """The pieces of a template in one text."""
        kept, size = [], 0
        for part in parts:
            size += len(part)
            _refuse_above(size)
            kept.append(part)
        return "".join(kept)

    @staticmethod
    def joined(parts: Iterable[Any]) -> str:
        """What ``~`` makes of its sides."""
        return _Bounds.concat(map(str, parts))


class BoundedEnvironment(_Bounds, SandboxedEnvironment):
    """A sandbox for the templates of tasks."""


class BoundedChatEnvironment(_Bounds, ImmutableSandboxedEnvironment):
    """A sandbox for chat templates, which may change nothing they are shown."""


_TEMPLATE_FAULTS = (
    TemplateError, MemoryError, RecursionError, ArithmeticError, LookupError, NameError, TypeError, ValueError, AttributeError
)  # fmt: skip


def rendered(render: Callable[[], str], *, where: str, what: str) -> str:
    """What a template makes of its item, within the bounds.

    Args:
        render: renders it, in one of the environments of this module.
        where: file or folder the template comes from.
        what: how a message calls it.

    Raises:
        InputError: if it breaks a bound or the sandbox, or cannot be rendered.
    """
    try:
        with time_limit(LONGEST_S):
            text = render()
            _refuse_above(len(text))
            return text
    except SecurityError as error:
        why, mend = f"does what no template may: {error}", "Use another template; a prompt needs no access to Python, and no such length."
    except TimeLimitError as error:
        why, mend = str(error), "Use another template: one prompt takes milliseconds."
    except _TEMPLATE_FAULTS as e:
        why, mend = f"cannot be rendered ({type(e).__name__}: {str(e)[:200]})", "Correct the template, or what it is shown."
    raise InputError(f"{what} {why}", where=where, mend=mend)


def bound_chat_templates() -> None:
    """Let transformers compile chat templates in the bounded sandbox; calling it again changes nothing."""
    from transformers.utils import chat_template_utils  # noqa: PLC0415 - only where a tokenizer is at hand

    for name in ("ImmutableSandboxedEnvironment",):
        if hasattr(chat_template_utils, name):
            setattr(chat_template_utils, name, BoundedChatEnvironment)


def chat_text(tokenizer: Any, messages: Sequence[Mapping[str, Any]], *, where: str, **options: Any) -> str:
    """A conversation as the tokenizer's own chat template writes it.

    Raises:
        InputError: if the template breaks a bound or the sandbox, or cannot be rendered.
    """
    bound_chat_templates()

    def written(said: Sequence[Mapping[str, Any]]) -> str:
        return rendered(
            lambda: str(tokenizer.apply_chat_template(said, tokenize=False, **options)), where=where, what="the tokenizer's chat template"
        )

    in_parts = any(isinstance(message.get("content"), list) for message in messages)
    said = [_in_one_text(message) for message in messages] if in_parts and _reads_text(tokenizer) else list(messages)
    if not any(message.get("tool_calls") for message in messages):
        try:
            return written([dict(message) for message in said])
        except InputError:
            if not in_parts:
                raise
            # A template that knows parts alone may fail on one text, the trial of `_reads_text` included.
            return written([dict(message) for message in messages])
    # As transformers documents them arguments are objects; OpenAI keeps them as text, and so do some templates.
    as_objects = [_with_arguments(message, _object_of) for message in said]
    try:
        text = written(as_objects)
    except InputError:
        text = None
    if text is not None and not any(repr(one) in text for one in _arguments(as_objects) if repr(one) != json.dumps(one)):
        return text
    return written([_with_arguments(message, _text_of) for message in said])


def _in_one_text(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message whose parts are all text, with its content as one."""
    parts = message.get("content")
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
        return dict(message)
    return {**message, "content": "".join(part["text"] for part in parts)}


def _reads_text(tokenizer: Any) -> bool:
    """Whether a template writes content that is one text; a few know content in parts alone."""
    asked = [{"role": "user", "content": "kdgov"}]
    try:
        return "kdgov" in rendered(lambda: str(tokenizer.apply_chat_template(asked, tokenize=False)), where="", what="the template")
    except InputError:
        return True


def _with_arguments(message: Mapping[str, Any], form: Callable[[Any], Any]) -> dict[str, Any]:
    """A message whose tool calls have their arguments in one form."""
    if not isinstance(calls := message.get("tool_calls"), list):
        return dict(message)
    return {**message, "tool_calls": [_formed(call, form) for call in calls]}


def _formed(call: Any, form: Callable[[Any], Any]) -> Any:
    if not isinstance(call, Mapping):
        return call
    if isinstance(call.get("function"), Mapping):
        return {**call, "function": _formed(call["function"], form)}
    return {**call, "arguments": form(call["arguments"])} if "arguments" in call else call


def _object_of(arguments: Any) -> Any:
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments
    return value if isinstance(value, dict) else arguments


def _text_of(arguments: Any) -> Any:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _arguments(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    calls = [call.get("function", call) for message in messages for call in message.get("tool_calls") or () if isinstance(call, Mapping)]
    return [call["arguments"] for call in calls if isinstance(call, Mapping) and call.get("arguments")]


def _bounded_filter(name: str, plain: Any) -> Any:
    # Some filters take the evaluation's context first.
    first = 1 if getattr(plain, "jinja_pass_arg", None) is not None else 0

    def bounded(*positional: Any, **named: Any) -> Any:
        shown = [*positional[first:], *named.values()]
        if name == "join" and shown and isinstance(shown[0], list | tuple):
            _refuse_above(sum(map(_length, shown[0])) + len(shown[0]) * max(map(_length, shown[1:]), default=0))
        elif shown and isinstance(shown[0], str):
            _refuse_growth(name, shown[0], shown[1:])
        return _bounded(plain(*positional, **named))

    bounded.__dict__.update(getattr(plain, "__dict__", {}))
    return bounded


def _refuse_growth(name: str, text: str, arguments: Sequence[Any]) -> None:
    """Nothing, when a method or filter of that name cannot make an endless text of this one."""
    longest = max(map(_length, arguments), default=0)
    numbers = [abs(part) for part in arguments if isinstance(part, int)]
    if name in _WIDTHS and max(numbers, default=0) > _LARGEST_NUMBER:
        raise SecurityError("the template calls with a number that no prompt needs")
    size = 0
    match name:
        case "replace" if len(arguments) > 1 and isinstance(arguments[0], str):
            size = text.count(arguments[0]) * _length(arguments[1])
        case "join" if arguments and isinstance(arguments[0], list | tuple):
            size = sum(map(_length, arguments[0])) + len(arguments[0]) * len(text)
        case "format" | "format_map":
            size = text.count("{") * longest + text.count("%") * longest
            if _LONG_WIDTH.search(text):
                size = LONGEST_TEXT + 1
        case "indent" | "expandtabs":
            size = (text.count("\n") + text.count("\t")) * max([*numbers, longest], default=0)
    _refuse_above(size)


def _bounded(value: Any) -> Any:
    _refuse_above(_length(value))
    return value


def _refuse_above(size: int) -> None:
    if size > LONGEST_TEXT:
        raise SecurityError("the template makes a text or list without bounds")


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _number(value: Any) -> int:
    return abs(value) if isinstance(value, int) else 0
