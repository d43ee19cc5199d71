"""The gate as an assertion, for test suites of any runner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kdgov.api.arguments import Items, PathLike

if TYPE_CHECKING:
    from kdgov.decision.decision import Decision
    from kdgov.decision.policy import Policy


def assert_not_worse(
    *,
    teacher: Items,
    student: Items,
    policy: Policy | Mapping[str, Any] | PathLike,
    base_policy: Policy | Mapping[str, Any] | PathLike | None = None,
    looks: int = 1,
) -> Decision:
    """Fail the test unless the policy is proven to hold of the student; the message is the decision as the terminal shows it.

    Args:
        teacher: item table of the teacher, its file, or a folder of results.
        student: the student's, over the same items.
        policy: a policy, its mapping, its file, or the name of a shipped one.
        base_policy: the agreed policy; a looser ``policy`` does not pass.
        looks: students judged on these items under this policy so far, this one included.

    Returns:
        The decision, for further assertions.

    Raises:
        AssertionError: if the verdict is anything but ``pass``.
        InputError: if a table or the policy is at fault.

    Example:
        >>> import pyarrow as pa
        >>> items = {"suite": ["math"] * 500, "task": ["sums"] * 500, "item_id": [str(n) for n in range(500)], "metric": ["acc"] * 500}
        >>> teacher = pa.table({**items, "score": [float(n % 4 > 0) for n in range(500)]})
        >>> worse = pa.table({**items, "score": [float(n % 2 > 0) for n in range(500)]})
        >>> criterion = {"id": "ability", "kind": "non_inferiority", "metric": "acc", "direction": "higher", "margin": 0.05}
        >>> policy = {"schema": "kdgov.policy/1", "name": "mine", "version": "1", "criteria": [criterion]}
        >>> kdgov.assert_not_worse(teacher=teacher, student=teacher, policy=policy).verdict
        'pass'
        >>> kdgov.assert_not_worse(teacher=teacher, student=worse, policy=policy)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        AssertionError: the student is not proven good enough...
    """
    __tracebackhide__ = True
    from kdgov.api.decisions import gate
    from kdgov.report.text import as_text

    decision = gate(teacher, student, policy, base_policy=base_policy, looks=looks)
    if not decision.promotes:
        raise AssertionError(f"the student is not proven good enough\n{as_text(decision, width=120)}")
    return decision
