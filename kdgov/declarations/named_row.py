"""A key whose value names a row of a table that installed packages can add to."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from kdgov.extensions import added_names


class NamedRow:
    """Annotation of a string: one of kdgov's own names, or a name that an installed package adds to the group.

    Example:
        >>> from typing import Annotated
        >>> from pydantic import TypeAdapter
        >>> TypeAdapter(Annotated[str, NamedRow("kdgov.losses", ("forward_kl",))]).validate_python("forward_kl")
        'forward_kl'
    """

    def __init__(self, group: str, own: tuple[str, ...]) -> None:
        self.group, self.own = group, own

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Text that is checked against the names."""
        return core_schema.no_info_after_validator_function(self._known, core_schema.str_schema())

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Kdgov's own names as suggestions; any other text may be a name of a package installed elsewhere."""
        return {"anyOf": [{"enum": list(self.own)}, {"type": "string"}]}

    def _known(self, name: str) -> str:
        if name in self.own or name in added_names(self.group, own=self.own):
            return name
        known = [*self.own, *added_names(self.group, own=self.own)]
        raise ValueError(
            f"{name!r} is not one of the allowed values\n"
            f"Write one of {', '.join(known)}, or install the package that adds it to the entry points {self.group}."
        )
