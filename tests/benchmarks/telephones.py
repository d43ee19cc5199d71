"""Recall and precision of telephones on sentences in the manner of presidio-research: templates filled by Faker, many locales.

Run ``python -m tests.benchmarks.telephones``, or with presidio-research's own published sets (MIT; ``data/synth_dataset_v2.json``,
``tests/data/generated_large.json`` of its repository) as ``python -m tests.benchmarks.telephones FILE.json …``.
Numbers and everything else that has digits (cards, dates, postcodes, amounts, order numbers, IBANs) come from Faker (MIT), which knows
nothing of the detector; the templates are our own.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from faker import Faker

from kdgov.checks.pii.identifiers import find_identifiers

LOCALES = (
    "en_US", "en_US", "en_US", "en_US", "en_GB", "en_GB", "en_CA", "en_AU", "en_IN", "de_DE", "fr_FR", "it_IT", "es_ES", "nl_NL", "sv_SE",
    "da_DK", "no_NO", "fi_FI", "pl_PL", "pt_BR", "ja_JP", "tr_TR", "cs_CZ", "hu_HU",
)  # fmt: skip
WITH = (
    "My phone number is {}, call me whenever you want.",
    "Please call me at {} to discuss the offer",
    "You can reach {name} at {}.",
    "How do I change the number on my account? It used to be {}",
    "{name}\n{street}\n{city} {postcode}\n{}",
    "Contact: {name}, {email}, {}",
    "Is this {name}'s number? {}",
    "Our office in {city} moved. Telephone: {}",
    "I tried {} three times but nobody answered.",
    "Tel. {} or fax {}",
    "{name} ({}) will be in {city} on {date}",
    "what's your mobile? mine is {}",
    "text {} when you get there",
    "For support write to {email} or dial {}.",
    '{{"name": "{name}", "phone": "{}"}}',
)
WITHOUT = (
    "Order {int9} was shipped on {date} to {postcode} {city}.",
    "My card {card} expires {month}.",
    "The invoice number is {int10}, total {amount}",
    "Please transfer {amount} to {iban} before {date}",
    "ISBN {isbn} was printed {int4} times",
    "{name} was born on {date} in {city}",
    "The population grew from {bigint} to {bigint}.",
    "Coordinates: {lat}, {lon}",
    "Ticket {int8} has been open since {time}",
    "Version 10.{int4}.{int4} of the package, build {int9}",
    "The server {ip} answered after {int4} ms",
    "Score {int4}-{int4}, attendance {int5}",
    "SSN {ssn}",
    "Between {int4} and {int4} the price rose by {amount}",
    "Part number {int3}-{int4}-{int5} is out of stock.",
    "Meeting id: {int3} {int4} {int4}",
)


def sentences(seed: int, count: int) -> list[tuple[str, list[tuple[int, int]]]]:
    """Text and where its telephones stand."""
    rng = random.Random(seed)
    fakers = {locale: Faker(locale) for locale in dict.fromkeys(LOCALES)}
    for n, fake in enumerate(fakers.values()):
        fake.seed_instance(seed + n)
    made = []
    for n in range(count):
        fake = fakers[rng.choice(LOCALES)]
        template = rng.choice(WITH if n % 2 else WITHOUT)
        made.append(_filled(template, fake, fakers["en_US"], rng))
    return made


def _filled(template: str, fake: Faker, english: Faker, rng: random.Random) -> tuple[str, list[tuple[int, int]]]:
    numbers = [fake.phone_number() for _ in range(template.count("{}"))]
    words = {
        "name": fake.name(), "street": fake.street_address(), "city": fake.city(), "postcode": fake.postcode(), "email": fake.email(),
        "date": fake.date(pattern=rng.choice(["%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%B %d, %Y"])), "card": fake.credit_card_number(),
        "month": fake.credit_card_expire(), "iban": english.iban(), "isbn": fake.isbn13(), "ip": fake.ipv4(), "ssn": english.ssn(),
        "time": fake.date(pattern="%Y-%m-%d %H:%M"), "amount": f"{rng.randint(1, 10**6):,}.{rng.randint(0, 99):02} EUR",
        "bigint": f"{rng.randint(10**6, 10**9)}", "lat": f"{rng.uniform(-90, 90):.6f}", "lon": f"{rng.uniform(-180, 180):.6f}",
        **{f"int{k}": str(rng.randint(10 ** (k - 1), 10**k - 1)) for k in (3, 4, 5, 8, 9, 10)},
    }  # fmt: skip
    spans, text = [], ""
    for place, part in enumerate(template.split("{}")):
        text += part.format(**words)
        if place < len(numbers):
            spans.append((len(text), len(text) + len(numbers[place])))
            text += numbers[place]
    return text, spans


def presidio_sentences(path: Path) -> list[tuple[str, list[tuple[int, int]]]]:
    """Texts of one of presidio-research's files and where their telephones stand."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [
        (row["full_text"], [(s["start_position"], s["end_position"]) for s in row["spans"] if s["entity_type"] == "PHONE_NUMBER"])
        for row in rows
    ]


def rates(seed: int, count: int, *, shows: int = 0) -> tuple[float, float]:
    """Recall and precision on made sentences."""
    return measured(sentences(seed, count), shows=shows)


def measured(labelled: Iterable[tuple[str, list[tuple[int, int]]]], *, shows: int = 0) -> tuple[float, float]:
    """Recall and precision; a hit counts when it overlaps a telephone."""
    found = missed = wrong = 0
    lost: Counter[str] = Counter()
    for text, spans in labelled:
        data = text.encode()
        places = [(len(text[:a].encode()), len(text[:b].encode())) for a, b in spans]
        hits = [hit for hit in find_identifiers(data) if hit.kind == "phone"]
        for start, end in places:
            if any(hit.start < end and hit.end > start for hit in hits):
                found += 1
            else:
                missed += 1
                lost[text] += 1
        bad = [hit for hit in hits if not any(hit.start < end and hit.end > start for start, end in places)]
        wrong += len(bad)
        if bad and shows:
            sys.stdout.write(f"wrong: {data[bad[0].start : bad[0].end]!r} in {text!r}\n")
    for text in list(lost)[:shows]:
        sys.stdout.write(f"missed: {text!r}\n")
    return found / max(1, found + missed), found / max(1, found + wrong)


def main(arguments: list[str]) -> None:
    """Print recall and precision of each file named, else of made sentences by seed and number of examples shown."""
    files = [Path(name) for name in arguments if name.endswith(".json")]
    for path in files:
        recall, precision = measured(presidio_sentences(path))
        sys.stdout.write(f"{path.name}: recall {recall:.3f}, precision {precision:.3f}\n")
    if not files:
        seed, shows = (int(n) for n in (*arguments, "3", "0")[:2]) if len(arguments) != 1 else (int(arguments[0]), 0)
        recall, precision = rates(seed, 4000, shows=shows)
        sys.stdout.write(f"telephones: recall {recall:.3f}, precision {precision:.3f}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
