"""Gathers the documentation site: the pages of docs/, and reference pages made from commands, declared files and the Python interface.

    python docs/site/build.py build/docs && sphinx-build -W --keep-going build/docs build/site

Nothing it writes is edited by hand, so no page can say what the code does not.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kdgov
from kdgov.cli.app import COMMANDS, load_command
from kdgov.declarations.file_schemas import declaration_schema

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "site"
TOP_PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
KINDS = {
    "release": "A release: what is released, from what, and how it is judged.",
    "suite": "A suite: which items both models answer, and what every number means.",
    "card": "A card: what is known of one model or one dataset.",
    "policy": "A policy: what a release must prove.",
    "case": "A licence case: one question to `kdgov license check`.",
}
RESULTS = {
    "kdgov.decision.decision": ("Decision", "CriterionResult", "Waiver", "Approval"),
    "kdgov.decision.policy": ("Policy", "Criterion"),
    "kdgov.finding": ("Finding",),
    "kdgov.items": ("ItemTable", "MetricDeclaration"),
    "kdgov.license": ("LicenseAnswer", "Edge", "Obligation"),
    "kdgov.decision.drill": ("DrillReport",),
    "kdgov.pipeline.finished_work.store": ("StepResult",),
    "kdgov.recording.promotion": ("Act",),
    "kdgov.recording.verified_loading": ("LoadedModel", "NotReleasedError"),
    "kdgov.auditing.review.result": ("VersionAudit",),
    "kdgov.errors": ("KdgovError", "InputError", "DeclarationError", "UnavailableError", "Fault"),
}
"""Module → what the functions of `import kdgov` take, return and raise."""


def gather(target: Path) -> list[Path]:
    """Write every page of the site below a folder and return them."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(ROOT / "docs", target, ignore=shutil.ignore_patterns("site", "__pycache__"))
    shutil.copy(SITE / "conf.py", target / "conf.py")
    for name in TOP_PAGES:
        (target / name).write_text((ROOT / name).read_text(encoding="utf-8").replace("](docs/", "]("), encoding="utf-8")
    for page in target.rglob("*.md"):
        page.write_text(re.sub(r"\]\((?:\.\./)+(" + "|".join(TOP_PAGES) + r")", _to_top(page, target), page.read_text(encoding="utf-8")))
    reference = target / "reference"
    reference.mkdir()
    (reference / "commands.md").write_text(commands_page(), encoding="utf-8")
    (reference / "python.md").write_text(python_page(), encoding="utf-8")
    for kind in KINDS:
        (reference / f"{kind}.md").write_text(keys_page(kind), encoding="utf-8")
    return sorted(target.rglob("*.md"))


def _to_top(page: Path, target: Path) -> str:
    return "](" + "../" * len(page.relative_to(target).parts[:-1]) + r"\1"


def commands_page() -> str:
    """Every command and sub-command with its help, options and examples."""
    parts = ["# Commands", "`kdgov COMMAND --help` shows the same. Exit codes: 0 pass or done, 1 blocked, 2 invalid input, 3 environment."]
    for name in COMMANDS:
        parts += _command(f"kdgov {name}", load_command(name), level=2)
    return "\n\n".join(parts) + "\n"


def _command(path: str, command: Any, level: int) -> Iterator[str]:
    yield f"{'#' * level} {path}"
    yield _plain(command.help or "")
    children = getattr(command, "commands", None)
    if children:
        for name, child in children.items():
            yield from _command(f"{path} {name}", child, level + 1)
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help" and not p.hidden]
    usage = " ".join(_argument(p) for p in arguments)
    yield f"```text\n{' '.join([path, '[OPTIONS]', usage]).strip()}\n```"
    rows = [[f"`{_argument(p)}`", "", _cell(getattr(p, "help", "") or "")] for p in arguments]
    rows += [[f"`{', '.join([*p.opts, *p.secondary_opts])}`", _default(p), _cell(p.help or "")] for p in options]
    if rows:
        yield _table(["argument or option", "default", "meaning"], rows)
    if command.epilog:
        yield "```text\n" + inspect.cleandoc(_plain(command.epilog)).strip() + "\n```"


def _argument(parameter: Any) -> str:
    name = parameter.metavar or str(parameter.name).upper()
    return name if parameter.required else f"[{name.strip('[]')}]"


def _default(option: Any) -> str:
    value = option.default
    if value is None or value is ... or value is False or value == () or callable(value) or str(value).startswith("Sentinel"):
        return ""
    return f"`{getattr(value, 'value', value)}`" if str(getattr(value, "value", value)) else ""


def keys_page(kind: str) -> str:
    """Every key of one kind of file, with type, default and meaning."""
    schema = declaration_schema(kind)
    parts = [f"# {kind.capitalize()} files", KINDS[kind], f"`kdgov schema {kind}` prints this as a JSON schema."]
    if "properties" in schema:
        parts += ["## Keys", _keys(schema)]
    for name, definition in schema.get("$defs", {}).items():
        for shape in definition.get("anyOf", [definition]):
            if "properties" in shape:
                parts += [f"## {name}", " ".join(str(definition.get("description", "")).split()), _keys(shape)]
    for name, section in schema.get("properties", {}).items():
        inner = section if "properties" in section else section.get("items", {})
        if "properties" in inner:
            parts += [f"## {name}", _keys(inner)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _keys(schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = []
    for key, shape in schema["properties"].items():
        default = "required" if key in required else f"`{json.dumps(shape['default'], ensure_ascii=False)}`" if "default" in shape else ""
        rows.append([f"`{key}`", _cell(_type(shape)), default, _cell(shape["description"])])
    return _table(["key", "type", "default", "meaning"], rows)


def _type(shape: Mapping[str, Any]) -> str:
    if "$ref" in shape:
        return str(shape["$ref"]).rpartition("/")[2]
    if "const" in shape:
        return f"`{shape['const']}`"
    if "enum" in shape:
        return ", ".join(f"`{_json(value)}`" for value in shape["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in shape:
            return " or ".join(dict.fromkeys(_type(one) for one in shape[several]))
    if shape.get("type") == "array":
        return f"list of {_type(shape.get('items', {}))}"
    if shape.get("type") == "object" and isinstance(shape.get("additionalProperties"), Mapping):
        return f"mapping to {_type(shape['additionalProperties'])}"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = " ".join(f"{sign} {shape[name]:g}" for name, sign in bounds.items() if name in shape)
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "nothing", "object": "mapping"}
    kind = shape.get("type", "any value")
    return f"{words.get(kind, kind)} {said}".strip()


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def python_page() -> str:
    """The functions of `import kdgov`, and what they take, return and raise."""
    parts = ["# Python", inspect.cleandoc(kdgov.__doc__ or "").replace("::\n", ":\n", 1)]
    parts += ["## Functions", *(_directive("autofunction", f"kdgov.{name}") for name in kdgov.__all__), "## Values and errors"]
    for module, names in RESULTS.items():
        parts += [_directive("autoclass", f"{module}.{name}", members=True) for name in names]
    return "\n\n".join(parts) + "\n"


def _directive(kind: str, name: str, *, members: bool = False) -> str:
    options = "\n   :members:\n   :undoc-members:" if members else ""
    return f"```{{eval-rst}}\n.. {kind}:: {name}{options}\n```"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return _code(" ".join(_plain(text).split())).replace("|", "\\|")


def _code(text: str) -> str:
    return re.sub(r"``(.+?)``", r"`\1`", text)


def _plain(text: str) -> str:
    """Without the markup of the terminal."""
    return re.sub(r"\[/?(?:bold|dim|italic)\]", "", text)


if __name__ == "__main__":
    pages = gather(Path(sys.argv[1]))
    sys.stdout.write(f"{len(pages)} pages in {sys.argv[1]}\n")
