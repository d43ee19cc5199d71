"""How many parts of its teacher a pruned student keeps."""

from __future__ import annotations

from pydantic import Field, model_validator

from kdgov.declarations.load import Declared


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
    if keep_layers == "all" and prune is None:
        raise ValueError("keeps all layers and prunes nothing: the student would be its teacher\nName layers, or add `prune:`.")
