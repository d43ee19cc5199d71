"""The policy a student was to be judged by, held against the one it is judged by: a change may not judge itself by less."""

from __future__ import annotations

from kdgov.decision.policy import Policy
from kdgov.decision.policy_diff import policy_difference
from kdgov.finding import Finding

RULE = "evidence.policy-looser"
_SHOWN = 5


def looser_policy(base: Policy, used: Policy) -> tuple[Finding, ...]:
    """The finding that the judging policy demands less than the base, or may; empty where every change is stricter.

    The finding makes the decision invalid, so neither a level under ``findings:`` nor a waiver sets it aside.

    Args:
        base: the policy as it was agreed, such as the base branch's.
        used: the policy that judges.
    """
    loosened = [change for change in policy_difference(base, used) if change.may_loosen]
    if not loosened:
        return ()
    shown = "; ".join(map(str, loosened[:_SHOWN]))
    more = f"; and {len(loosened) - _SHOWN} more" if len(loosened) > _SHOWN else ""
    return (
        Finding(
            check="evidence",
            verdict="invalid",
            subject=f"policy {used.name} {used.version}",
            reason=f"Demands less than the base policy {base.name} {base.version} ({base.digest[:19]}…), or may: {shown}{more}.",
            mend="Judge by the base policy; change the policy on its own, agreed by its owner, before results are judged by it.",
            rule=RULE,
            source="FDA 2016, Non-Inferiority Clinical Trials: the margin is fixed before the trial",
            details={"base_policy": base.digest, "loosened": [str(change) for change in loosened]},
        ),
    )
