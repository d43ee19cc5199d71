"""Who releases: some licences ask for size, seat and revenue."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from kdgov.declarations.load import Declared
from kdgov.license.case.countries import country_code, place_mend
from kdgov.license.vocabulary import OrganizationKind


class Organization(Declared):
    """Who releases: some licences ask for size, seat and revenue."""

    name: str | None = None
    """Its name: the rights holder of first-party data and models."""
    kind: OrganizationKind = "company"
    """Legal kind."""
    principal_place: str | None = None
    """Country of the principal place of business or domicile: its code or its name, kept as the code of two letters."""
    monthly_active_users: dict[str, float] | float | None = None
    """Users per month: one number, or one per date (YYYY-MM)."""
    annual_revenue_usd: float | None = None
    """Yearly revenue in US dollars."""

    @field_validator("principal_place", mode="before")
    @classmethod
    def _is_a_country(cls, value: Any) -> Any:
        # YAML 1.1 reads the country code of Norway as false.
        text = "NO" if value is False else value
        if not isinstance(text, str):
            return text
        if not text.strip():
            return None
        if (code := country_code(text)) is None:
            raise ValueError(f"{text!r} is not a country\n{place_mend(text)}")
        return code
