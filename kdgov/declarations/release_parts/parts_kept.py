"""Which layers of its teacher a student starts from, and how many parts of them a pruned one keeps."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from kdgov.declarations.load import Declared

LayerName = Literal["all", "every_second", "first_and_last"]


def _list_or_name(value: Any) -> str:
    return "list" if isinstance(value, list) else "name"


OneSide = Annotated[Annotated[list[int], Tag("list")] | Annotated[LayerName, Tag("name")], Discriminator(_list_or_name)]
"""Layers of one stack."""


class SidesKept(Declared):
    """Layers of encoder and decoder, each counted from 0 on its own; a side that is not named stays whole."""

    encoder: OneSide = "all"
    """Layers of what reads."""
    decoder: OneSide = "all"
    """Layers of what writes: ``{decoder: first_and_last}`` is the start of Distil-Whisper (arXiv:2311.00430)."""

    @model_validator(mode="after")
    def _leaves_something_out(self) -> SidesKept:
        if self.encoder == self.decoder == "all":
            raise ValueError("keeps all layers of encoder and decoder: the student would be its teacher\nName the layers of one of them.")
        return self


def _form(value: Any) -> str:
    return "sides" if isinstance(value, dict | SidesKept) else _list_or_name(value)


KeptLayers = Annotated[
    Annotated[list[int], Tag("list")] | Annotated[LayerName, Tag("name")] | Annotated[SidesKept, Tag("sides")], Discriminator(_form)
]
"""Layers of every stack, or of each side."""


class Prune(Declared):
    """How many parts of the teacher a student starts with, chosen by their activity on examples of the data."""

    layers: int | None = Field(default=None, ge=1)
    """Layers, those that turn their input most."""
    heads: int | None = Field(default=None, ge=1)
    """Attention heads per layer."""
    inner: int | None = Field(default=None, ge=1)
    """Neurons of every feed-forward layer."""
    width: int | None = Field(default=None, ge=1)
    """Channels of hidden states and embeddings."""
    experts: int | None = Field(default=None, ge=1)
    """Experts per layer, those the router picks most."""
    examples: int = Field(default=64, ge=1)
    """Examples the activity is measured on."""

    @property
    def wanted(self) -> dict[str, int]:
        """Part → how many are kept, of the parts that are named."""
        return {name: value for name, value in self.model_dump(exclude={"examples"}).items() if value is not None}

    @model_validator(mode="after")
    def _says_something(self) -> Prune:
        if not self.wanted:
            raise ValueError("keeps everything\nName one of layers, heads, inner, width, experts.")
        return self


def refuse_mismatch(prune: Prune | None, keep_layers: object) -> None:
    """Refuse pruning without the teacher's layers, and all of its layers without pruning.

    Raises:
        ValueError: with what is wrong and how to mend it, for pydantic.
    """
    if prune is not None and keep_layers is None:
        raise ValueError("prunes, but does not start from the teacher's layers\nAdd `keep_layers: all`.")
    if prune is not None and isinstance(keep_layers, SidesKept):
        raise ValueError("prunes, and chooses layers of encoder and decoder\nKeep one: models of two stacks are not pruned.")
    if keep_layers == "all" and prune is None:
        raise ValueError("keeps all layers and prunes nothing: the student would be its teacher\nName layers, or add `prune:`.")
