"""Synthetic text with known answers: identifiers among numbers that only look like them, and items leaked in known ways.

The makers below follow the public formats (Luhn, ISO 13616, NANP, RFC 5321, RFC 4291), not the detector's patterns.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass

WORDS = " ".join(
    (
        "river stone market window letter garden winter teacher silver morning bridge people water paper answer table machine answer",
        "island flower music engine village doctor captain harbour blanket copper kitchen journey station painter pocket shadow ladder",
        "thunder valley carpet basket mirror lantern button ribbon saddle pepper orange velvet marble timber feather canvas anchor the the",
        "the a a of of and and to in in it was for on with as at by from he she they which when while because before after over under near",
        "said made took gave found kept held brought turned looked walked opened closed carried asked told left moved stayed began ended",
    )
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One sentence with what it holds."""

    text: str
    """The sentence."""
    kind: str
    """Kind of identifier; empty for one that only looks like one."""
    value: str
    """The identifier or look-alike."""


def sentence(rng: random.Random, least: int = 6, most: int = 18) -> str:
    """Words in a row."""
    words = [rng.choice(WORDS) for _ in range(rng.randint(least, most))]
    return " ".join(words).capitalize() + "."


def _digits(rng: random.Random, n: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(n))


def _luhn(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def _card(rng: random.Random) -> str:
    brand = rng.choice(["visa", "mastercard", "amex", "discover", "diners"])
    begins, length = {
        "visa": ("4", 16),
        "mastercard": (str(rng.randint(51, 55)), 16),
        "amex": (rng.choice(["34", "37"]), 15),
        "discover": ("6011", 16),
        "diners": (rng.choice(["36", "38"]), 14),
    }[brand]
    number = _luhn(begins + _digits(rng, length - len(begins) - 1))
    groups = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[length]
    separator = rng.choice(["", " ", "-"])
    parts, at = [], 0
    for size in groups:
        parts.append(number[at : at + size])
        at += size
    return separator.join(parts)


_IBAN = {
    "DE": "18n",
    "GB": "4c14n",
    "FR": "10n11c2n",
    "NL": "4c10n",
    "ES": "20n",
    "IT": "1c10n12c",
    "AT": "16n",
    "PL": "24n",
    "MT": "4c5n18c",
}


def _iban(rng: random.Random) -> str:
    country = rng.choice(sorted(_IBAN))
    body, size = "", ""
    for mark in _IBAN[country]:
        if mark.isdigit():
            size += mark
        else:
            letters = string.digits if mark == "n" else string.ascii_uppercase
            body += "".join(rng.choice(letters) for _ in range(int(size)))
            size = ""
    turned = body + country + "00"
    check = 98 - int("".join(str(int(c, 36)) for c in turned)) % 97
    plain = f"{country}{check:02d}{body}"
    return plain if rng.random() < 0.5 else " ".join(plain[n : n + 4] for n in range(0, len(plain), 4))


def _phone(rng: random.Random) -> str:
    area, exchange = f"{rng.choice('23456789')}{_digits(rng, 2)}", f"{rng.choice('23456789')}{_digits(rng, 2)}"
    area = area if area[1:] != "11" else area[0] + "12"
    exchange = exchange if exchange[1:] != "11" else exchange[0] + "12"
    line = _digits(rng, 4)
    return rng.choice(
        [
            f"({area}) {exchange}-{line}",
            f"{area}-{exchange}-{line}",
            f"{area}.{exchange}.{line}",
            f"+1 {area} {exchange} {line}",
            f"+1-{area}-{exchange}-{line}",
            f"+44 20 {_digits(rng, 4)} {_digits(rng, 4)}",
            f"+49 {rng.choice(['30', '89', '40'])} {_digits(rng, 7)}",
            f"+33 {rng.choice('1234567')} {' '.join(_digits(rng, 2) for _ in range(4))}",
            f"020 {_digits(rng, 4)} {_digits(rng, 4)}",
            f"07{_digits(rng, 3)} {_digits(rng, 6)}",
        ]
    )


def _ssn(rng: random.Random) -> str:
    area = rng.choice([n for n in (rng.randint(1, 899) for _ in range(20)) if n != 666])
    separator = rng.choice(["-", "-", " "])
    return f"{area:03d}{separator}{rng.randint(1, 99):02d}{separator}{rng.randint(1, 9999):04d}"


def _email(rng: random.Random) -> str:
    name = rng.choice(["anna", "j.roe", "bob_smith", "info", "mary-jane", "x.y.z", "o'neil", "team+news"]) + _digits(rng, rng.randint(0, 3))
    host = rng.choice(["example.com", "mail.example.org", "uni-bonn.de", "firm.co.uk", "sub.host.io", "company.museum"])
    return f"{name}@{host}"


def _ip(rng: random.Random) -> str:
    if rng.random() < 0.7:
        return ".".join(str(rng.randint(0, 255)) for _ in range(4))
    groups = [f"{rng.randint(0, 65535):x}" for _ in range(8)]
    return ":".join(groups) if rng.random() < 0.5 else f"{groups[0]}:{groups[1]}::{groups[2]}:{_digits(rng, 2)}"


def _aws(rng: random.Random) -> str:
    if rng.random() < 0.7:
        return rng.choice(["AKIA", "ASIA"]) + "".join(rng.choice(string.ascii_uppercase + "234567") for _ in range(16))
    return "aws_secret_access_key = " + "".join(rng.choice(string.ascii_letters + string.digits + "/+") for _ in range(40))


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "email": _email,
    "phone": _phone,
    "credit_card": _card,
    "iban": _iban,
    "us_ssn": _ssn,
    "ip_address": _ip,
    "aws_key": _aws,
}
"""Kind → maker of one identifier."""


def _look_alike(rng: random.Random) -> str:
    d = lambda n: _digits(rng, n)  # noqa: E731 - local shorthand
    wrong_card = _luhn("4" + d(14))
    wrong_card = wrong_card[:-1] + str((int(wrong_card[-1]) + 1) % 10)
    return rng.choice(
        [
            f"order {d(10)}",
            f"invoice no. {d(9)}",
            f"ISBN 978-{d(1)}-{d(2)}-{d(6)}-{d(1)}",
            f"{rng.randint(1990, 2030)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d} "
            f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}",
            f"from {rng.randint(1800, 1899)}-{rng.randint(1900, 1999)}",
            f"version {rng.randint(0, 20)}.{rng.randint(0, 20)}.{rng.randint(0, 20)}.{rng.randint(0, 20)}",
            f"{rng.randint(1, 999)},{d(3)},{d(3)}",
            f"3.{d(14)}",
            f"{wrong_card}",
            f"DE{rng.randint(10, 97)}{d(10)}",
            f"666-{d(2)}-{d(4)}",
            "@" + rng.choice(WORDS),
            f"icon@2x.png and photo@{rng.randint(2, 3)}x.jpg",
            f"{d(2)}:{d(2)}:{d(2)}",
            f"std::vector<{rng.choice(WORDS)}>",
            f"{rng.randint(1, 99)} + {rng.randint(1, 99)} = {d(2)}",
            f"timestamp: 1{d(9)}",
            f"#{d(6)}",
            f"{''.join(rng.choice('0123456789abcdef') for _ in range(40))}",
            f"{d(8)}-{d(4)}",
            f"lat {rng.randint(-89, 89)}.{d(6)}, lon {rng.randint(-179, 179)}.{d(6)}",
            f"ticket {d(3)}-{d(5)}",
        ]
    )


def labelled_sentences(seed: int, per_kind: int) -> list[Labelled]:
    """``per_kind`` sentences of every kind of identifier and three times as many with look-alikes, shuffled."""
    rng = random.Random(seed)
    rows = []
    for kind, make in MAKERS.items():
        for _ in range(per_kind):
            value = make(rng)
            lead = rng.choice(["Write it down:", "Use", "It was", "We noted", "Here:", "Ask for", "They gave us"])
            after = rng.choice([".", ",", " ", ";", ")", " -"])
            rows.append(Labelled(text=f"{sentence(rng)} {lead} {value}{after} {sentence(rng)}", kind=kind, value=value))
    for _ in range(3 * per_kind * len(MAKERS)):
        value = _look_alike(rng)
        rows.append(Labelled(text=f"{sentence(rng)} {value} {sentence(rng)}", kind="", value=value))
    rng.shuffle(rows)
    return rows


def edited(rng: random.Random, text: str, *, every: int = 8) -> str:
    """A copy with one word in ``every`` replaced, dropped or doubled, at random places of each stretch of that length."""
    words = text.split()
    out: list[str] = []
    for start in range(0, len(words), every):
        stretch = words[start : start + every]
        place = rng.randrange(every)
        for n, word in enumerate(stretch):
            if n != place:
                out.append(word)
                continue
            out += rng.choice([[rng.choice(WORDS)], [], [word, rng.choice(WORDS)]])
    return " ".join(out)
