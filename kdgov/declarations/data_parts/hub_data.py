"""A data set of the Hub in the place of a data file: ``hub: owner/name`` with a commit, and what of it is meant.

Where only a text fits, it is written as `huggingface_hub` writes addresses: ``hf://datasets/owner/name@COMMIT/data/train-*.parquet``,
with ``?config=…&split=…`` behind it where these are meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, unquote

from pydantic import BeforeValidator, model_validator

from kdgov.declarations.load import Declared

SCHEME = "hf://datasets/"
HUB_ID = re.compile(r"^(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*$")
SHORT = re.compile(r"^(?P<hub>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})$")
COMMIT = re.compile(r"^[0-9a-f]{40}$")
_ADDRESS = re.compile(r"^hf://datasets/(?P<hub>[^/@?]+/[^/@?]+)(?:@(?P<revision>[^/?]+))?(?:/(?P<files>[^?]+))?(?:\?(?P<query>.*))?$")
_SPLITS = re.compile(r"\w+(?:\.\w+)*(?:\+\w+(?:\.\w+)*)*")
_KEYS = ("revision", "config", "split", "files")


def _as_sum(value: Any) -> Any:
    return "+".join(value) if isinstance(value, list) and value and all(isinstance(one, str) for one in value) else value


class HubData(Declared):
    """Keys that name a data set of the Hub."""

    hub: str | None = None
    """Data set of the Hub, ``owner/name``, in the place of a file."""
    revision: str | None = None
    """Commit of ``hub`` (40 digits); a branch or nothing is read as it is now, and is a finding."""
    config: str | None = None
    """Its configuration, as its card lists them; default the one it marks (``name`` says the same)."""
    split: Annotated[str, BeforeValidator(_as_sum, json_schema_input_type=str | list[str])] | None = None
    """Its split; several as a list, or as ``train+validation``; default ``train``, or the only one."""
    files: str | None = None
    """Pattern of files in it, such as ``data/train-*.parquet``, where its own layout is not meant."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"path": value}
        if isinstance(value, Mapping) and is_hub_address(value.get("path")):
            value = {**{key: one for key, one in value.items() if key != "path"}, **hub_keys(value["path"])}
        if isinstance(value, Mapping) and value.get("hub") and "name" in value and "config" not in value:
            value = {("config" if key == "name" else key): one for key, one in value.items()}
        return value

    @model_validator(mode="after")
    def _names_one(self) -> HubData:
        if self.hub is None:
            if idle := [key for key in _KEYS if getattr(self, key) is not None]:
                raise ValueError(f"has {idle[0]}, which is of a data set of the Hub, and names none\nAdd `hub: owner/name`.")
            return self
        if not HUB_ID.match(self.hub):
            raise ValueError(f"hub {self.hub!r} is no data set of the Hub\nWrite `hub: owner/name`; a file or folder goes under `path:`.")
        if self.split is not None and not _SPLITS.fullmatch(self.split):
            raise ValueError(f"split {self.split!r} is no name of a split\nName whole splits, such as `train` or `train+validation`.")
        return self

    @property
    def is_pinned(self) -> bool:
        """Whether a commit says which state of the data set is meant."""
        return self.revision is not None and COMMIT.match(self.revision) is not None

    @property
    def address(self) -> str:
        """The same as one text; empty where no data set of the Hub is named."""
        if self.hub is None:
            return ""
        at = f"@{quote(self.revision, safe='')}" if self.revision else ""
        asked = "&".join(f"{key}={quote(value, safe='')}" for key in ("config", "split") if (value := getattr(self, key)))
        return f"{SCHEME}{self.hub}{at}" + (f"/{self.files}" if self.files else "") + (f"?{asked}" if asked else "")


def hub_keys(text: str) -> dict[str, str]:
    """The keys that an ``hf://datasets/…`` address stands for.

    Raises:
        ValueError: if it is none; the message says how one is written.
    """
    found = _ADDRESS.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no address of a data set of the Hub\nWrite hf://datasets/owner/name@COMMIT, and a file behind it.")
    keys = {key: unquote(value) for key, value in found.groupdict().items() if value and key != "query"}
    for key, value in parse_qsl(found["query"] or "", keep_blank_values=True):
        if key not in ("config", "split"):
            raise ValueError(f"{text!r} says {key}=, which no address has\nBehind `?` stand config= and split=.")
        keys[key] = value.replace(" ", "+")
    return keys


def is_hub_address(text: Any) -> bool:
    """Whether a text in the place of a file names a data set of the Hub."""
    return isinstance(text, str) and text.startswith("hf://")


def named_by(text: str) -> HubData:
    """The data set that an ``hf://datasets/…`` address, or ``owner/name@COMMIT``, names.

    Raises:
        ValueError: if it is none; the message says how one is written.
    """
    short = SHORT.match(text)
    return HubData.model_validate(short.groupdict() if short else hub_keys(text))


def checked_address(text: str) -> str:
    """A text in the place of a file, as it is; refused where it means to be an address of the Hub and is none.

    Raises:
        ValueError: if it is none; the message says how one is written.
    """
    if is_hub_address(text):
        named_by(text)
    return text
