"""Who a model is: digests of weights, tokenizer, chat template and configuration, read without loading it.

Only safetensors headers and JSON files are read; no torch, no code from the checkpoint.
"""

from __future__ import annotations

import importlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from kdgov.checkpoints.model_files import model_digest, model_files
from kdgov.checkpoints.weights.parameter_count import parameter_count
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.load import resolve
from kdgov.digest import digest_bytes, digest_file, digest_json
from kdgov.errors import InputError

_HEADER_LIMIT_BYTES = 100_000_000
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_VOCABULARY_FILES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json", "merges.txt")
# What changes between savings of one and the same configuration.
_CONFIG_NOISE = ("transformers_version", "_name_or_path", "_commit_hash")
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """What two people must agree on before they can say "the same model"."""

    weights: str
    """Digest of the one safetensors file, or of the canonical JSON {file name: digest} where there are several."""
    tokenizer: str
    """Digest of what maps text to ids; empty where the model has none (images, audio)."""
    template: str
    """Digest of the chat template; empty where there is none."""
    config: str
    """Digest of ``config.json`` without its record of who saved it."""
    parameters: int
    """Numbers in all stored tensors; tied weights count once."""
    size_bytes: int
    """Bytes of the weight files."""
    vocab_size: int
    """Rows of the output distribution over tokens; 0 where the configuration has none."""
    layers: int
    """Hidden layers; encoder and decoder together."""
    architecture: str
    """Class name the checkpoint was saved from."""
    dtype: str
    """Type most of the numbers are stored in, such as ``F32``, ``BF16``, ``I8``."""
    model: str
    """Digest of the whole model: of the canonical JSON of ``files``."""
    files: Mapping[str, str]
    """Relative path → digest of every file of the folder that a loader may read."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary of all fields."""
        return asdict(self)


def model_identity(path: Path, *, verify: bool = False) -> ModelIdentity:
    """The identity of a transformers checkpoint folder.

    Args:
        path: folder with ``config.json`` and safetensors weights (or a PEFT adapter).
        verify: read every byte instead of trusting remembered digests of large files.

    Raises:
        InputError: if the folder is no such checkpoint, or holds pickled weights only.
    """
    files = _weight_files(path)
    config = read_config(path)
    whole = model_files(path, verify=verify)
    digests = {file.name: whole[file.relative_to(path).as_posix()] for file in files}
    parameters, dtype = parameter_count({name: t for file in files for name, t in safetensors_header(file).items()}, config)
    text_config = _text_config(config)
    return ModelIdentity(
        weights=next(iter(digests.values())) if len(digests) == 1 else digest_json(digests),
        tokenizer=tokenizer_digest(path),
        template=template_digest(path),
        config=digest_json({key: value for key, value in config.items() if key not in _CONFIG_NOISE}),
        parameters=parameters,
        size_bytes=sum(file.stat().st_size for file in files),
        vocab_size=int(config.get("vocab_size") or text_config.get("vocab_size") or 0),
        layers=layers_of(config),
        architecture=str((config.get("architectures") or [config.get("peft_type", "unknown")])[0]),
        dtype=dtype,
        model=model_digest(whole),
        files=whole,
    )


def endpoint_facts(endpoint: Endpoint) -> dict[str, Any]:
    """Who a teacher is that can only be asked: what is declared of it, and which parts of an identity are not to be had."""
    return {
        "access": "api",
        "generator": endpoint.model,
        "base_url": endpoint.base_url,
        "terms": endpoint.terms,
        "not_available": ["weights", "tokenizer", "template", "config", "parameters", "logits", "hidden_states"],
    }


def read_config(path: Path) -> dict[str, Any]:
    """The checkpoint's ``config.json`` (or ``adapter_config.json``) as a dictionary.

    Raises:
        InputError: if there is none or it is not a JSON mapping.
    """
    file = next((path / name for name in ("config.json", "adapter_config.json") if (path / name).is_file()), None)
    if file is None:
        raise InputError("has no config.json", where=str(path), mend="Name the folder that `save_pretrained` wrote.")
    return _read_json(file)


def safetensors_header(file: Path) -> dict[str, dict[str, Any]]:
    """Tensor name → ``{dtype, shape, data_offsets}`` of one safetensors file.

    Raises:
        InputError: if the file is cut short or is not a safetensors file.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(_HEADER_LIMIT_BYTES, size - 8):
            raise InputError("is not a whole safetensors file", where=str(file), mend="Download or save the checkpoint again.")
        try:
            header = json.loads(stream.read(length))
            ends = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError("has a broken safetensors header", where=str(file), mend="Download or save the checkpoint again.") from error
    if max(ends, default=0) + 8 + length != size:
        raise InputError(
            f"is {size} bytes long where its header promises {max(ends, default=0) + 8 + length}",
            where=str(file),
            mend="Download or save the checkpoint again: it was cut short.",
        )
    return {name: tensor for name, tensor in header.items() if name != "__metadata__"}


def tokenizer_digest(path: Path) -> str:
    """Digest of what maps text to ids; empty where the folder has no tokenizer.

    Padding and truncation settings, which ``save_pretrained`` changes in passing, are left out.
    """
    settings = _read_json(path / "tokenizer_config.json") if (path / "tokenizer_config.json").is_file() else {}
    special = {key: _content(settings.get(key)) for key in ("bos_token", "eos_token", "add_bos_token", "add_eos_token")}
    if (path / "tokenizer.json").is_file():
        whole = _read_json(path / "tokenizer.json")
        mapping = {key: value for key, value in whole.items() if key not in ("truncation", "padding", "version")}
        return digest_json({"tokenizer": mapping, "special": special})
    files = {name: digest_file(path / name) for name in _VOCABULARY_FILES if (path / name).is_file()}
    # vocab.json alone may belong to something else; a tokenizer always has one of these or a tokenizer_config.json.
    return digest_json({"files": files, "special": special}) if files else ""


def template_digest(path: Path) -> str:
    """Digest of the chat template's text; empty where there is none."""
    if (path / "chat_template.jinja").is_file():
        return digest_file(path / "chat_template.jinja")
    settings = _read_json(path / "tokenizer_config.json") if (path / "tokenizer_config.json").is_file() else {}
    template = settings.get("chat_template")
    if template is None:
        return ""
    return digest_bytes(template.encode()) if isinstance(template, str) else digest_json(template)


def resolve_model(name: str, *, beside: Path, revision: str | None = None) -> Path:
    """Folder of a model: a path (relative to the file that names it), or a hub id pinned to a commit.

    Nothing is downloaded that the local hub cache already has.

    Raises:
        InputError: if there is no such folder, or a hub id is not pinned or does not exist.
        UnavailableError: if the hub cannot be reached and the commit is not in the cache.
    """
    if not name:
        raise InputError(
            "the teacher is an endpoint: it has no weights here that could be identified, loaded or measured",
            where=f"{beside}: teacher.endpoint",
            mend="`kdgov distill` works without; to judge the student, bring both models' results to `kdgov gate --teacher --student`.",
        )
    folder = resolve(name, beside=beside)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise InputError(f"model {name!r} is a file, not a folder", where=str(beside), mend="Name the folder that `save_pretrained` wrote.")
    if not _HUB_ID.match(name) or name.startswith(("./", "../")):
        raise InputError(f"model {name!r} does not exist", where=str(beside), mend="Correct the path: it is relative to this file.")
    if revision is None or not _COMMIT.match(revision):
        raise _unpinned(name, revision, beside)
    # Only a hub id needs the hub's client: whoever judges local folders has none installed.
    return cast(Path, importlib.import_module("kdgov.hub.hub_snapshot").hub_snapshot(name, revision, beside, files=_HUB_FILES))


def _unpinned(name: str, revision: str | None, beside: Path) -> InputError:
    said = f"revision {revision!r} is a name that can move" if revision else "has no revision"
    return InputError(
        f"model {name!r} is not a local folder; as a Hub id it needs a pinned revision: {said}",
        where=str(beside),
        mend="Write `revision:` with the 40-digit commit of the hub repository, or correct the path of the folder.",
    )


def _weight_files(path: Path) -> list[Path]:
    if not path.is_dir():
        raise InputError("is not a folder", where=str(path), mend="Name the folder that `save_pretrained` wrote.")
    index = path / "model.safetensors.index.json"
    if index.is_file():
        named = sorted(set(_read_json(index).get("weight_map", {}).values()))
        missing = [name for name in named if not (path / name).is_file() or ".." in Path(name).parts or Path(name).is_absolute()]
        if missing or not named:
            raise InputError(
                f"lacks {', '.join(missing) or 'every shard'} that its index names", where=str(path), mend="Download or save it again."
            )
        return [path / name for name in named]
    files = sorted(path.glob("*.safetensors"))
    if not files:
        pickled = sorted(file.name for file in (*path.glob("*.bin"), *path.glob("*.pt")))
        what = f"has only pickled weights ({', '.join(pickled)}), which can run code" if pickled else "has no safetensors weights"
        raise InputError(what, where=str(path), mend="Save the model with `save_pretrained` of transformers 5, which writes safetensors.")
    return files


def _text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    own = config.get("text_config")
    return own if isinstance(own, dict) else {}


def layers_of(config: Mapping[str, Any]) -> int:
    """Layers that a ``config.json`` states, those of encoder and decoder together; 0 where it states none."""
    config = {**_text_config(config), **config}
    if "encoder_layers" in config and "decoder_layers" in config:
        return int(config["encoder_layers"]) + int(config["decoder_layers"])
    for key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
        if isinstance(config.get(key), int):
            return int(config[key]) + int(config.get("num_decoder_layers") or 0)
    depths = config.get("depths")
    return sum(depths) if isinstance(depths, list) else 0


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"cannot be read as JSON: {error}", where=str(file), mend="Save the checkpoint again.") from error
    if not isinstance(value, dict):
        raise InputError("holds no JSON mapping", where=str(file), mend="Save the checkpoint again.")
    return value
