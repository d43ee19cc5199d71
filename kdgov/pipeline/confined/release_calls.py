"""Where the suites of one release are asked."""

from __future__ import annotations

from kdgov.pipeline.confined.suite_calls import SuiteCalls
from kdgov.pipeline.context import ReleaseContext


def suite_calls(context: ReleaseContext) -> SuiteCalls:
    """Where the suites of a release are asked: in this process, or in one without keys."""
    suites, declared = context.release.suites, context.release.model_dump(mode="json")
    return SuiteCalls(suites, beside=context.path, store=context.store.root, progress=context.progress, declared=declared)
