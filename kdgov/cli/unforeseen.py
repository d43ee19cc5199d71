"""What ends a command that no message was written for: a part that is not installed, or a fault of kdgov's own.

Exit code 1 means *blocked* and nothing else, so both end with 3; a traceback goes to a file, never to the terminal.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import traceback
from pathlib import Path

from kdgov.errors import Fault

_EVALUATION, _TRAINING, _REGISTRY, _CHECK = "evaluate", "distill", "registry", "check"
EXTRA_OF_MODULE = {
    "torch": _EVALUATION,
    "transformers": _EVALUATION,
    "tokenizers": _EVALUATION,
    "safetensors": _EVALUATION,
    "jinja2": _EVALUATION,
    "lm_eval": _EVALUATION,
    "datasets": _EVALUATION,
    "fairlearn": _EVALUATION,
    "httpx2": _EVALUATION,
    "accelerate": _TRAINING,
    "mlflow": _REGISTRY,
    "sqlalchemy": _REGISTRY,
    "requests": _REGISTRY,
    "huggingface_hub": _REGISTRY,
    "pandas": _CHECK,
    "pandera": _CHECK,
}
"""Top-level module that the core does not bring → extra that does, where the command alone does not decide."""
EXTRA_OF_COMMAND = {
    "run": "all",
    "demo": "all",
    "check": _CHECK,
    "card": _CHECK,
    "distill": _TRAINING,
    "generate": _TRAINING,
    "evaluate": _EVALUATION,
    "record": _REGISTRY,
    "promote": _REGISTRY,
    "verify": _REGISTRY,
    "audit": _REGISTRY,
    "bom": _REGISTRY,
    "serve": _REGISTRY,
    "doctor": _REGISTRY,
    "registry": _REGISTRY,
    "revoke": _REGISTRY,
    "rollback": _REGISTRY,
}
"""Command → extra that holds all it needs."""


_MODULES_OF_EXTRA = {
    _TRAINING: ("torch", "transformers", "accelerate"),
    _EVALUATION: ("torch", "transformers", "lm_eval"),
    _REGISTRY: ("mlflow",),
    "all": ("torch", "transformers", "accelerate", "lm_eval", "mlflow"),
}


def require_parts(command: str) -> None:
    """Stop a command before it starts where it would find out half-way that a part is missing.

    Raises:
        ModuleNotFoundError: naming the first module of the command's extra that is not installed.
    """
    for module in _MODULES_OF_EXTRA.get(EXTRA_OF_COMMAND.get(command, ""), ()):
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def missing_part(error: ModuleNotFoundError, command: str) -> Fault | None:
    """One line that names the extra to install; None where the missing module is none of an extra's.

    Args:
        error: as Python raised it.
        command: name of the command that runs, such as ``evaluate``.
    """
    # A missing distribution (`PackageNotFoundError`) is named with a hyphen, a module with an underscore.
    module = (error.name or "").partition(".")[0].replace("-", "_")
    extra = EXTRA_OF_MODULE.get(module)
    if extra is None:
        return None
    if (of_command := EXTRA_OF_COMMAND.get(command)) is not None:
        # A release may need more than the command's own extra: `kdgov record RELEASE` first trains what is not trained yet.
        extra = of_command if extra == of_command or module in _MODULES_OF_EXTRA.get(of_command, ()) else "all"
    what = f"this part of kdgov is not installed ({module} is missing)"
    return Fault(file="", key="", what=what, mend=f"Run pip install 'kdgov[{extra}]', then the same command again.")


def unforeseen(error: BaseException) -> Fault:
    """One line about an error that nobody foresaw; its traceback is written to a file that only the user may read."""
    what = f"kdgov met an error that nobody foresaw ({type(error).__name__})"
    try:
        handle, path = tempfile.mkstemp(prefix="kdgov-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return Fault(file="", key="", what=what, mend="Nothing was decided. Report it with the command you ran.")
    return Fault(file="", key="", what=what, mend=f"Nothing was decided. Report it with {Path(path)}, which holds the traceback.")
