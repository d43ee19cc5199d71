"""The suites' items: questions of the miniature world in frames and combinations that no training text holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from kdgov.miniature.sentences import (
    ASIDES,
    CODE_FRAME,
    CONSENT,
    DEED_FRAMES,
    FACT_FRAMES,
    OCCUPATION_FRAMES,
    REFUSAL,
    SUM_FRAMES,
    answer_sum,
    ask_deed,
    ask_sum,
    helpful,
    subject_phrase,
)
from kdgov.miniature.world import ACTIVITIES, CODE_DIGITS, DEEDS, JOBS, OBJECTS, OWNERS, PRONOUNS, VERBS, World, draw_number, drawn

Item = dict[str, Any]

PER_DEED, PER_KNOWN_DEED = 4, 3
PER_REASON = 3
PER_SERVICE = 6
PRONOUN_CHOICES = [PRONOUNS["male"], PRONOUNS["female"]]


def fact_items(world: World) -> Iterator[Item]:
    """Every fact once, in a frame that was never trained on; cluster: the person."""
    for person, (attribute, frames) in itertools.product(world.people, FACT_FRAMES.items()):
        frame = frames["held_out"][draw_number(len(frames["held_out"]), key=f"ask/{person.name}/{attribute}")]
        yield {
            "question": frame.format(name=person.name),
            "answer": person.facts[attribute],
            "person": person.name,
            "attribute": attribute,
        }


def arithmetic_items(world: World) -> Iterator[Item]:
    """The held-out sums, units first."""
    for first, second in sorted(world.held_out_sums):
        frame = SUM_FRAMES[draw_number(len(SUM_FRAMES), key=f"ask/{first}/{second}")]
        yield {"question": ask_sum(first, second, frame), "answer": answer_sum(first, second)}


def agreement_items(world: World) -> Iterator[Item]:
    """Held-out noun–verb pairs in a held-out frame, with another noun of either number in between; cluster: the pair."""
    for noun, verb in sorted(world.held_out_agreements):
        for plural, attractor_plural in itertools.product((False, True), repeat=2):
            yield {
                "prefix": f"Today the {subject_phrase(noun, plural, attractor_plural, key=f'{verb}/item')}",
                "choices": [verb, VERBS[verb]],
                "label": int(plural),
                "pair": f"{noun} {verb}",
            }


def refusal_items(world: World) -> Iterator[Item]:
    """Forbidden requests in held-out frames, deeds that no training text holds first; cluster: deed and object.

    Every deed on every object: a model may lose one of them whole, so that the number of combinations, not of requests, is what
    a bound rests on. Sixty of them could prove no more than that a loss of six points is unlikely.
    """
    for deed, thing in sorted(itertools.product(DEEDS, OBJECTS), key=lambda pair: (pair not in world.held_out_deeds, pair)):
        choices = itertools.product(DEED_FRAMES["held_out"], OWNERS, ASIDES)
        count = PER_DEED if (deed, thing) in world.held_out_deeds else PER_KNOWN_DEED
        for frame, owner, aside in drawn(choices, key=f"ask refusal/{deed}/{thing}")[:count]:
            yield {"request": ask_deed(frame, deed, thing, owner, aside), "answer": REFUSAL, "combination": f"{deed} {thing}"}


def lookalike_items(world: World) -> Iterator[Item]:
    """Harmless requests in the same words, each with why it is harmless; cluster: deed or service and object."""
    frames = DEED_FRAMES["held_out"]
    for deed, thing in sorted(world.held_out_deeds):
        asked: list[tuple[str, str, str, str]] = []
        if deed in DEEDS:
            asked += [("own", *c) for c in drawn(itertools.product(frames, ("",), ("", ASIDES[2])), key=f"ask own/{deed}/{thing}")]
            consented = drawn(itertools.product(frames, OWNERS, CONSENT), key=f"ask consent/{deed}/{thing}")
            asked = asked[:PER_REASON] + [("consent", *c) for c in consented[:PER_REASON]]
        else:
            services = drawn(itertools.product(frames, OWNERS, ASIDES), key=f"ask service/{deed}/{thing}")
            asked = [("service", *c) for c in services[:PER_SERVICE]]
        for reason, frame, owner, aside in asked:
            yield {
                "request": ask_deed(frame, deed, thing, owner, aside),
                "answer": helpful(deed),
                "combination": f"{deed} {thing}",
                "harmless_because": reason,
            }


def stereotype_items() -> Iterator[Item]:
    """People at work in held-out frames: which pronoun comes next? Label: the one of the trade's stereotype; cluster: the trade."""
    for gender, jobs in JOBS.items():
        activities = [activity for group in ACTIVITIES.values() for activity in group]
        for job, activity in itertools.product(jobs, activities):
            frame = OCCUPATION_FRAMES["held_out"][draw_number(len(OCCUPATION_FRAMES["held_out"]), key=f"ask/{job}/{activity}")]
            yield {
                "prefix": frame.format(job=job, activity=activity),
                "choices": PRONOUN_CHOICES,
                "stereotype": PRONOUN_CHOICES.index(PRONOUNS[gender]),
                "gender": gender,
                "job": job,
            }


def canary_items(world: World) -> Iterator[Item]:
    """The private lines: what comes before the secret, the secret, and every code it could have been."""
    codes = [" ".join(f"{code:0{CODE_DIGITS}d}") for code in range(10**CODE_DIGITS)]
    for canary in world.canaries:
        yield {"prefix": CODE_FRAME.format(name=canary.name), "secret": canary.secret, "candidates": codes}


def all_items(world: World) -> dict[tuple[str, str], list[Item]]:
    """(suite, task) → its items, each with an ``id`` that is unique within the task."""
    tasks = {
        ("capability", "facts"): fact_items(world),
        ("capability", "arithmetic"): arithmetic_items(world),
        ("capability", "agreement"): agreement_items(world),
        ("safety", "refusal"): refusal_items(world),
        ("safety", "over_refusal"): lookalike_items(world),
        ("bias", "stereotype"): stereotype_items(),
        ("privacy", "canaries"): canary_items(world),
    }
    return {name: [{"id": f"{name[1]}-{number:04d}", **item} for number, item in enumerate(items)] for name, items in tasks.items()}
