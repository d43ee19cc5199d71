"""What asking an endpoint takes at most: requests, tokens, price."""

from __future__ import annotations

from dataclasses import dataclass

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.endpoints.reply import estimated_tokens
from kdgov.evaluation.plan.request import Plan, messages_of
from kdgov.evaluation.release_settings import how_for
from kdgov.pipeline.context import ReleaseContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What asking takes at most."""

    requests: int = 0
    """Requests, without repeated ones."""
    input_tokens: int = 0
    """Tokens read, estimated from bytes."""
    output_tokens: int = 0
    """Tokens written, if every answer is as long as it may be."""

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )

    def usd(self, endpoint: Endpoint) -> float | None:
        """Its price; None where none is declared."""
        price = endpoint.price
        return None if price is None else (self.input_tokens * price.input + self.output_tokens * price.output) / 1e6


def evaluation_estimate(plan: Plan, context: ReleaseContext, role: str, endpoint: Endpoint) -> Estimate:
    """What asking one endpoint everything a plan holds takes at most."""
    from kdgov.evaluation.backends.chat_endpoint import answer_tokens  # noqa: PLC0415 - only where an endpoint is asked

    how = how_for(context.release, role, endpoint)
    requests = [request for task in plan.tasks for item in task.items for request in item.requests]
    read = [estimated_tokens("".join(str(m.get("content")) for m in messages_of(r.context))) for r in requests]
    wrote = [answer_tokens(r.generation, how.reasoning) for r in requests]
    again = min(how.reask, len(requests))
    return Estimate(
        requests=len(requests) + again,
        input_tokens=sum(read) + again * max(read, default=0),
        output_tokens=sum(wrote) + again * max(wrote, default=0),
    )
