"""A report format: the verdict on one line, for a chat message."""


def as_one_line(decision, policy):
    return f"{decision.policy['name']}: {decision.verdict}\n"
