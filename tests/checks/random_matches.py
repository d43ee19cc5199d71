"""Random strings that match a pattern: what a real key of that form may look like, unlike the shortest match."""

from __future__ import annotations

import random
import re._constants as codes
import re._parser as parser
import string

_PRINTABLE = [ord(c) for c in string.ascii_letters + string.digits + "-_./+="]


def random_match(pattern: str, rng: random.Random) -> str:
    """One string that the pattern matches; look-arounds and anchors are not aimed at."""
    return "".join(_any(list(parser.parse(pattern)), rng, ignore_case=False))


def _any(tree, rng, *, ignore_case):
    for code, value in tree:
        yield from _one(code, value, rng, ignore_case)


def _one(code, value, rng, ignore_case):
    if code is codes.LITERAL:
        yield chr(value)
    elif code is codes.NOT_LITERAL:
        yield chr(rng.choice([c for c in _PRINTABLE if c != value]))
    elif code is codes.ANY:
        yield chr(rng.choice(_PRINTABLE))
    elif code is codes.IN:
        yield chr(_member(value, rng))
    elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        low, high, inner = value
        most = min(int(high), max(int(low), 1) + 30) if code is codes.MAX_REPEAT else int(low)
        for _ in range(rng.randint(int(low), max(int(low), most))):
            yield from _any(list(inner), rng, ignore_case=ignore_case)
    elif code is codes.SUBPATTERN:
        yield from _any(list(value[3]), rng, ignore_case=ignore_case)
    elif code is codes.BRANCH:
        yield from _any(list(rng.choice(value[1])), rng, ignore_case=ignore_case)
    elif code is codes.ATOMIC_GROUP:
        yield from _any(list(value), rng, ignore_case=ignore_case)


def _member(choices, rng):
    pool: list[int] = []
    negated = choices[0][0] is codes.NEGATE
    for code, value in choices:
        if code is codes.LITERAL:
            pool.append(value)
        elif code is codes.RANGE:
            pool += range(value[0], value[1] + 1)
        elif code is codes.CATEGORY:
            pool += _PRINTABLE[:62] + [95] if value is codes.CATEGORY_WORD else [32] if value is codes.CATEGORY_SPACE else _PRINTABLE[52:62]
    if negated:
        return rng.choice([c for c in _PRINTABLE if c not in pool])
    plain = [c for c in pool if c in _PRINTABLE]
    return rng.choice(plain or pool)
