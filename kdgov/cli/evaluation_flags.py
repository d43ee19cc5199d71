"""Flags that say how models are asked, the same keys as ``evaluation:`` of a release; one without effect is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdgov.errors import InputError

if TYPE_CHECKING:
    from kdgov.evaluation.backends.settings import BackendSettings

SET_HELP = "Set a key of the release, such as distillation.steps=50; repeatable, kept in the evidence."


def changed_settings(texts: list[str] | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """``--set`` texts and flags as keys of a release with their values.

    Args:
        texts: ``KEY=VALUE`` texts.
        flags: key of ``evaluation:`` → value, None where the flag was not given.

    Raises:
        InputError: if a text is none, or a key is set by both.
    """
    from kdgov.declarations.release_parts.set_keys import parse_settings

    found = parse_settings(texts or [])
    for name, value in flags.items():
        if value is None:
            continue
        key = f"evaluation.{name}"
        if key in found:
            raise InputError(f"--set {key} and its own flag are both given", mend="Keep one of the two.")
        found[key] = value
    return found


def refuse_idle(with_what: str, flags: Mapping[str, Any]) -> None:
    """Nothing, unless a flag was given that has no effect.

    Raises:
        InputError: naming it.
    """
    for flag, value in flags.items():
        if value not in (None, "", False) and value != []:
            raise InputError(f"{flag} has no effect with {with_what}", mend="Leave it out.")


_OF_ONE_MODEL = ("backend", "dtype", "device", "devices", "batch_tokens", "concurrency", "reasoning")


def added_settings(flags: Mapping[str, Any], texts: list[str] | None) -> dict[str, Any]:
    """Flags of ``kdgov evaluate --model`` with what ``--set evaluation.KEY=VALUE`` adds, such as the marks of a model's thoughts.

    Raises:
        InputError: if a key is none that says how one model is asked, or is set by a flag too.
    """
    from kdgov.declarations.release_parts.set_keys import parse_settings

    found = dict(flags)
    for key, value in parse_settings(texts or []).items():
        top, _, rest = key.removeprefix("evaluation.").partition(".")
        if not key.startswith("evaluation.") or top not in _OF_ONE_MODEL or (rest and top != "reasoning"):
            known = ", ".join(f"evaluation.{name}" for name in _OF_ONE_MODEL)
            raise InputError(f"--set {key} has no effect with --model", mend=f"It sets {known} and keys below evaluation.reasoning.")
        before = found.get(top)
        if (before is not None and not rest) or (isinstance(before, dict) and rest in before):
            raise InputError(f"--set {key} says again what is said already", mend="Keep one of the two.")
        found[top] = {**(before or {}), rest: value} if rest else value
    return found


def single_settings(
    flags: Mapping[str, Any], *, address: str, served_as: str, key_variable: str, model: Path | None, unproven: bool
) -> BackendSettings:
    """How ``kdgov evaluate --model`` asks its model, from the same keys as ``evaluation:``.

    Raises:
        InputError: if a flag has no effect, or an endpoint has no address.
    """
    from kdgov.checkpoints.identity import model_identity
    from kdgov.checkpoints.thinking_switch import refuse_unknown_switch
    from kdgov.declarations.load import validate
    from kdgov.declarations.release_parts.evaluation_settings import EvaluationSettings
    from kdgov.evaluation.backends.settings import refuse_former_variables
    from kdgov.evaluation.release_settings import settings_of

    refuse_former_variables()
    document = {name: value for name, value in flags.items() if value is not None}
    # `local-completions` was the name of this backend before releases declared it.
    backend = document["backend"] = str(document.get("backend", "hf")).replace("local-completions", "completions")
    is_served = backend in ("completions", "chat")
    if not is_served:
        refuse_idle(f"--backend {backend}", {"--address": address, "--served-as": served_as, "--key-variable": key_variable,
                                               "--unproven": unproven})  # fmt: skip
        refuse_idle(f"--backend {backend}", {"--concurrency": document.get("concurrency")})
    elif not address:
        raise InputError(f"--backend {backend} has no --address", mend="Give the endpoint's base URL, such as http://127.0.0.1:8000/v1.")
    else:
        base = address.rstrip("/").removesuffix("/completions").removesuffix("/chat")
        name = served_as or (model.name if model is not None else "")
        document["endpoint"] = {"base_url": base, "model": name, "api": backend, **({"key_variable": key_variable} if key_variable else {})}
    said = validate(document, EvaluationSettings, file="command line")
    if backend == "chat":
        raise InputError(
            "--backend chat is for releases", mend="Declare it under `evaluation:` of a release; or use --backend completions."
        )
    if said.reasoning is not None and said.reasoning.enabled is not None and model is not None:
        refuse_unknown_switch("--thinking" if said.reasoning.enabled else "--no-thinking", [model])
    stored = {model_identity(model).dtype} if model is not None and model.is_dir() else set()
    return settings_of(said.of(""), stored=stored, proves=not unproven)
