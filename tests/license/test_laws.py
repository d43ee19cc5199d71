"""Laws that hold for every case, whatever the facts say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdgov.license import Evidence, LicenseCase, Organization, Release, Student, Upstream, check
from kdgov.license.catalogue.facts import facts
from kdgov.license.vocabulary import DISTRIBUTIONS, USES, VERDICTS
from tests.license.conftest import AS_OF

NAMES = [*facts().licenses, "NONE", "openrail", "LicenseRef-nobody-knows"]
QUICK = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

names = st.sampled_from(NAMES)
uses = st.sampled_from(USES)
releases = st.builds(Release, distribution=st.sampled_from(DISTRIBUTIONS), commercial=st.booleans(), research=st.booleans())
students = st.builds(
    Student,
    name=st.sampled_from(["acme", "Llama-3-acme", "EXAONE-acme"]),
    license=st.sampled_from(["Apache-2.0", "GPL-3.0-only", "CC-BY-SA-4.0", "LicenseRef-acme", "gemma", ""]),
    kind=st.sampled_from(["generative", "classifier", "foundational_generative", "something_else"]),
    similar_to_teacher=st.sampled_from([None, True, False]),
)
organizations = st.builds(
    Organization,
    kind=st.sampled_from(["", "company", "university", "individual"]),
    principal_place=st.sampled_from(["", "DE", "US", "KR"]),
    monthly_active_users=st.sampled_from([None, 1e6, 9e8]),
    annual_revenue_usd=st.sampled_from([None, 5e5, 5e7]),
)
cases = st.builds(
    LicenseCase,
    student=students,
    uses=st.lists(st.builds(Upstream, use=uses, license=names), min_size=1, max_size=3).map(tuple),
    release=releases,
    organization=organizations,
    choices=st.fixed_dictionaries(
        {},
        optional={
            "outputs_derivative": st.sampled_from(["true", "false", "review"]),
            "data_adaptation": st.sampled_from(["true", "false", "review"]),
            "competing": st.sampled_from(["competing", "not_competing", "undeclared"]),
        },
    ),
    as_of=st.just(AS_OF),
)


def _rank(case: LicenseCase) -> int:
    return VERDICTS.index(check(case).verdict)


def _with(case: LicenseCase, expression: str, use: str) -> LicenseCase:
    return replace(case, uses=(Upstream(use=use, license=expression),))


@QUICK
@given(case=cases, use=uses, left=names, right=names)
@pytest.mark.slow
def test_and_is_as_strict_as_its_strictest_part(case, use, left, right) -> None:
    both = _rank(_with(case, f"{left} AND {right}", use))
    assert both == max(_rank(_with(case, left, use)), _rank(_with(case, right, use)))


@QUICK
@given(case=cases, use=uses, left=names, right=names)
def test_or_is_never_stricter_than_its_mildest_part(case, use, left, right) -> None:
    either = _rank(_with(case, f"{left} OR {right}", use))
    assert either <= min(_rank(_with(case, left, use)), _rank(_with(case, right, use)))


@QUICK
@given(case=cases, use=uses, left=names, right=names)
def test_or_records_its_choice(case, use, left, right) -> None:
    answer = check(_with(case, f"{left} OR {right}", use))
    assert any(o.kind == "RECORD" and o.value.startswith("choice=") and o.met for o in answer.obligations)


@QUICK
@given(case=cases, use=st.sampled_from([use for use in USES if use != "weights_init"]), name=names)
def test_another_upstream_never_relaxes_the_verdict_nor_opens_the_gate(case, use, name) -> None:
    # Starting from a model's own weights is the one thing that lifts its bar on other models: that upstream is left out.
    before, after = check(case), check(replace(case, uses=(*case.uses, Upstream(use=use, license=name, name="one more"))))
    assert VERDICTS.index(after.verdict) >= VERDICTS.index(before.verdict)
    # A review holds where a duty without evidence blocks: neither lets anything out.
    assert before.gate == "promote" or after.gate != "promote"


@QUICK
@given(case=cases, data=st.data())
def test_the_order_of_upstreams_changes_nothing(case, data) -> None:
    shuffled = replace(case, uses=tuple(data.draw(st.permutations(case.uses))))
    before, after = check(case), check(shuffled)
    assert (before.verdict, before.gate) == (after.verdict, after.gate)
    assert sorted(map(repr, before.obligations)) == sorted(map(repr, after.obligations))


@QUICK
@given(case=cases, kind=st.sampled_from(["LICENSE_COPY", "NOTICE", "DISPLAY", "AUP", "FLOW_DOWN", "ATTRIB"]))
def test_evidence_for_a_licence_that_is_not_there_changes_nothing(case, kind) -> None:
    stranger = Evidence(obligation=kind, license="LicenseRef-of-nobody-here", text="Built with nothing", where="README.md")
    before, after = check(case), check(replace(case, evidence=(stranger,)))
    assert (before.verdict, before.gate, before.obligations) == (after.verdict, after.gate, after.obligations)
    assert after.unused_evidence


@QUICK
@given(case=cases)
def test_a_separate_licence_of_a_stranger_lifts_nothing(case) -> None:
    stranger = Evidence(separate_license="X-1", licensor="Nobody Inc", expires=AS_OF.replace(year=2030))
    assert check(case).verdict == check(replace(case, evidence=(stranger,))).verdict


@QUICK
@given(case=cases)
def test_the_answer_is_the_same_every_time_and_is_json(case) -> None:
    first, second = (json.dumps(check(case).as_json(), sort_keys=True, allow_nan=False) for _ in range(2))
    assert first == second


@QUICK
@given(case=cases)
def test_only_a_promote_has_everything_met(case) -> None:
    answer = check(case)
    assert (answer.gate == "promote") == (
        answer.verdict in {"allow", "allow_with_obligations"} and all(o.met is not False for o in answer.obligations)
    )


@QUICK
@given(case=cases, use=uses, outer=st.sampled_from(["dataset_train", "weights_init"]), name=names)
def test_hiding_an_upstream_behind_a_free_label_never_relaxes_it(case, use, outer, name) -> None:
    """Data made from outputs, and weights started from weights, come to the same use as taking it directly."""
    inner = {"dataset_train": "generated_text", "weights_init": use}[outer]
    if outer == "weights_init" and use in {"dataset_eval", "dataset_publish", "weights_init"}:
        return
    child = Upstream(use=inner, license=name, name="behind")
    direct = replace(case, uses=(child,))
    hidden = replace(case, uses=(Upstream(use=outer, license="CC0-1.0", name="label", made_by=(child,)),))
    assert _rank(hidden) >= _rank(direct)


@QUICK
@given(case=cases, name=names)
@pytest.mark.slow
def test_no_unknown_or_unstated_licence_is_ever_allowed(case, name) -> None:
    unknown = replace(case, uses=(*case.uses, Upstream(use="dataset_train", license="LicenseRef-nobody-knows")))
    assert check(unknown).gate != "promote"
