"""The environment of a process that asks models what somebody else wrote: what it needs to run, and nothing that reads like a secret."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

_NAMES = frozenset(
    {
        "PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "COLUMNS", "NO_COLOR",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
        "http_proxy", "https_proxy", "no_proxy", "all_proxy", "SYSTEMROOT", "KDGOV_PROVE", "KDGOV_CACHE",
    }
)  # fmt: skip
_FAMILIES = (
    "LC_", "PYTHON", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "MALLOC_", "THP_", "CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_",
    "NCCL_", "HIP_", "HSA_", "ROCR_", "PYTORCH_", "TORCH_", "TORCHINDUCTOR_", "TRITON_", "VLLM_", "HF_", "TRANSFORMERS_", "TOKENIZERS_",
    "DATASETS_",
)  # fmt: skip
_HOW = re.compile(r"KDGOV_(?:[A-Z]+_)?(?:BACKEND|DTYPE|DEVICE|BATCH_TOKENS|ADDRESS|SERVED_AS)")
_SECRET = re.compile(
    r"(?:^|_)(?:(?:API|ACCESS|SIGNING|EVALUATION|GUARD|PRIVATE)?_?KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE|PASSWD|PASS|CREDENTIALS?|AUTH|COOKIE)"
    r"(?:_|$)|PRIVATE",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"PRIVATE KEY|://[^/\s]*@")
_KEY_SOURCES = ("KDGOV_SIGNING_KEY", "KDGOV_EVALUATION_KEY", "KDGOV_GUARD_KEY", "KDGOV_WEIGHTS_KEY")
_KEPT_AT_HOME = (
    ".ssh", ".gnupg", ".aws", ".azure", ".config/gcloud", ".config/gh", ".docker", ".kube", ".netrc", ".pgpass", ".git-credentials",
    ".pypirc", ".password-store", ".cache/huggingface/token", ".cache/huggingface/stored_tokens",
)  # fmt: skip
_HUB_CACHES = ("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE")
_CACHES_AT_HOME = (".cache/huggingface", ".cache/torch", ".cache/torch_extensions", ".cache/vllm", ".triton", ".nv")


def scrubbed(environment: Mapping[str, str], *, keys: Collection[str] = ()) -> dict[str, str]:
    """What of an environment is handed on.

    Named variables that libraries need, those that say how models are asked, and those that hold an existing folder; none whose name or
    value reads like a secret, but for ``keys``.

    Args:
        environment: of this process.
        keys: variables that hold the key of an endpoint which this very evaluation asks.
    """
    found = {name: value for name, value in environment.items() if _is_plain(name, value)}
    return found | {name: environment[name] for name in keys if name in environment}


def key_places(environment: Mapping[str, str], store: Path) -> tuple[Path, ...]:
    """Files and folders that hold keys and logins, as far as they are known."""
    home = Path(environment.get("HOME") or Path.home())
    named = [source for variable in _KEY_SOURCES for source in environment.get(variable, "").split()]
    files = [Path(source.removeprefix("file:")).expanduser() for source in named if source.startswith(("file:", "/", ".", "~"))]
    files += [Path(value).expanduser() for name, value in environment.items() if _SECRET.search(name) and _is_file(value)]
    usual = Path(environment.get("KDGOV_STORE") or Path("registry") / "store")
    folders = [store / "keys", usual / "keys", Path("/run/secrets"), Path("/var/run/secrets"), *(home / name for name in _KEPT_AT_HOME)]
    return tuple(dict.fromkeys(path.absolute() for path in (*files, *folders)))


def cache_places(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Folders in which libraries keep what they fetched or compiled, and the devices."""
    home = Path(environment.get("HOME") or Path.home())
    named = ("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "TORCH_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH")
    return (*(Path(environment[name]) for name in named if environment.get(name)), *(home / name for name in _CACHES_AT_HOME), Path("/dev"))


def make_cache_places(environment: Mapping[str, str]) -> None:
    """Make the folders in which the hub's libraries keep what they fetched: the kernel opens to a process only what is there already."""
    for place in cache_places(environment):
        if place.name != "dev" and ("huggingface" in place.parts or any(environment.get(name) == str(place) for name in _HUB_CACHES)):
            with contextlib.suppress(OSError):
                place.mkdir(parents=True, exist_ok=True)


def _is_plain(name: str, value: str) -> bool:
    if _SECRET.search(name) or _SECRET_VALUE.search(value):
        return False
    is_known = name in _NAMES or name.startswith(_FAMILIES) or _HOW.fullmatch(name) is not None
    return is_known or (os.path.isabs(value) and Path(value).is_dir())


def _is_file(value: str) -> bool:
    try:
        return os.path.isabs(value) and Path(value).is_file()
    except (OSError, ValueError):
        return False
