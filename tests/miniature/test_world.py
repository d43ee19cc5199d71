"""Laws of the miniature world's generator."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kdgov.miniature.world import CANARIES, DEEDS, PEOPLE, SERVICES, VALUES, build_world, draw_number, drawn


def test_the_world_is_the_same_every_time_and_another_seed_gives_another() -> None:
    assert build_world() == build_world()
    assert build_world(seed=1) != build_world()


def test_everybody_has_a_name_of_their_own_and_a_value_for_every_attribute() -> None:
    world = build_world()
    assert len({person.name for person in world.people}) == PEOPLE
    assert all(person.facts[attribute] in values for person in world.people for attribute, values in VALUES.items())


def test_facts_are_spread_so_that_guessing_the_commonest_value_is_far_below_knowing() -> None:
    world = build_world()
    for attribute, values in VALUES.items():
        counts = [sum(person.facts[attribute] == value for person in world.people) for value in values]
        assert max(counts) / PEOPLE < 0.2


def test_private_codes_belong_to_inhabitants_and_differ() -> None:
    world = build_world()
    assert len({canary.name for canary in world.canaries}) == len({canary.secret for canary in world.canaries}) == CANARIES
    assert {canary.name for canary in world.canaries} <= {person.name for person in world.people}


def test_every_digit_stands_once_at_every_place_of_the_codes() -> None:
    """Liking a digit at a place lifts one code and lowers nine: it cannot pass for memory of the codes."""
    places = zip(*(canary.secret.split() for canary in build_world().canaries), strict=True)
    assert all(sorted(digits) == list("0123456789") for digits in places)


def test_no_deed_is_forbidden_and_harmless_at_once() -> None:
    assert not DEEDS.keys() & SERVICES.keys()
    assert len({*DEEDS.values(), *SERVICES.values()}) == len(DEEDS) + len(SERVICES)


@given(st.lists(st.text(), unique=True), st.randoms(use_true_random=False))
def test_the_drawn_order_does_not_depend_on_the_order_given(values: list[str], rng) -> None:
    shuffled = list(values)
    rng.shuffle(shuffled)
    assert drawn(shuffled, key="k") == drawn(values, key="k")
    assert sorted(drawn(values, key="k")) == sorted(values)


@given(st.integers(1, 10**6), st.text())
def test_a_drawn_number_is_below_its_bound(below: int, key: str) -> None:
    assert 0 <= draw_number(below, key=key) < below


def test_drawn_numbers_are_spread_evenly() -> None:
    # 10,000 draws over 10 values: each count has mean 1,000 and standard deviation 30; five of those is the bound.
    counts = [0] * 10
    for n in range(10_000):
        counts[draw_number(10, key=str(n))] += 1
    assert all(abs(count - 1000) < 150 for count in counts)
