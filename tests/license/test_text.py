"""A licence's own text beats its tag, and only where the text is surely known."""

from __future__ import annotations

import pytest

from kdgov.license import case_from_json, check
from kdgov.license.catalogue.facts import facts
from kdgov.license.catalogue.text_recognition import identify, text_digest
from tests.license.conftest import AS_OF

MIT = """MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
FILLER = "agreement terms " * 610
LLAMA3 = f"META LLAMA 3 COMMUNITY LICENSE AGREEMENT\nMeta Llama 3 Version Release Date: April 18, 2024\n{FILLER}"
LLAMA31 = f"LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date: July 23, 2024\n{FILLER}"


def answer_for(tag: str, text: str, use: str = "weights_init", name: str = "Llama-3-acme"):
    document = {
        "student": {"name": name, "license": "LicenseRef-acme"},
        "uses": [{"use": use, "license": tag, "name": "x", "license_text": "LICENSE"}],
    }
    return check(case_from_json(document, read_text=lambda _: text, as_of=AS_OF))


def test_a_text_is_known_by_its_words_not_by_its_layout() -> None:
    assert identify(MIT.upper().replace("\n", "   \n\n"), facts()).license == "MIT"
    assert text_digest("A  b,\nC") == text_digest("a b c")


def test_another_holder_is_the_same_licence_but_another_clause_is_not() -> None:
    assert identify(MIT, facts()).is_sure
    added = MIT + "\nProducts with more than 100 million monthly active users must display the name of the model.\n"
    assert not identify(added, facts()).is_sure
    changed = MIT.replace("and/or sell copies of", "but not sell copies of")
    assert not identify(changed, facts()).is_sure


def test_llama_3_is_not_taken_for_llama_3_1() -> None:
    """A text detector took the one for the other, which turns a deny into an allow."""
    assert identify(LLAMA3, facts()).license == "LicenseRef-Meta-Llama-3"
    assert identify(LLAMA31, facts()).license == "LicenseRef-scancode-llama-3.1-license-2024"


def test_a_text_that_agrees_with_its_tag_changes_nothing() -> None:
    answer = answer_for("mit", MIT)
    assert answer.verdict == "allow_with_obligations"
    assert "MIT" in answer.uses[0].notes[0]


@pytest.mark.parametrize("tag", ["other", "NOASSERTION", "", "llama"])
def test_a_text_stands_in_for_a_tag_that_says_nothing(tag: str) -> None:
    assert answer_for(tag, LLAMA3, use="generated_text").verdict == "deny"
    assert answer_for("other", MIT, use="generated_text").verdict == "allow"


def test_a_conflict_shows_both_and_takes_the_stricter() -> None:
    answer = answer_for("llama3.1", LLAMA3, use="generated_text")
    assert (answer.verdict, answer.gate) == ("deny", "block")
    assert "LicenseRef-Meta-Llama-3" in answer.reason
    assert "llama3.1" in answer.reason
    milder = answer_for("llama3.1", MIT, use="generated_text")
    assert (milder.verdict, milder.gate) == ("needs_review", "hold")
    assert "MIT" in milder.reason
    assert "llama3.1" in milder.reason
    assert set(milder.uses[0].resolved) == {"MIT", "LicenseRef-scancode-llama-3.1-license-2024"}


def test_an_unknown_text_goes_to_review_whatever_the_tag_says() -> None:
    assert answer_for("mit", "All rights reserved.", use="generated_text").verdict == "needs_review"
    assert answer_for("mit", "", use="generated_text").verdict == "needs_review"


def test_a_text_that_nobody_read_goes_to_review() -> None:
    document = {"uses": [{"use": "logits", "license": "MIT", "license_text": "LICENSE"}]}
    assert check(case_from_json(document)).verdict == "needs_review"


def test_a_text_that_only_looks_like_the_known_one_is_never_sure() -> None:
    """Title, date and length of the Gemma terms, and none of their sentences: held for review, with what it adds shown."""
    count = facts().texts["LicenseRef-scancode-gemma-tou-2024-04-01"]["words"][0]
    full = "Gemma Terms of Use\nLast modified: April 1, 2024\n" + "word " * (count - 8)
    found = identify(full, facts())
    assert found.license == "LicenseRef-scancode-gemma-tou-2024-04-01"
    assert not found.is_sure
    answer = answer_for("gemma", full, use="generated_text")
    assert (answer.verdict, answer.gate) == ("needs_review", "hold")


BSD3 = """Copyright (c) 2026, Acme Robotics GmbH
All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following
conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following
disclaimer in the documentation and/or other materials provided with the distribution.

3. Neither the name of Acme Robotics nor the names of its contributors may be used to endorse or promote products derived from
this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING,
BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT
SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR
CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR
PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR
TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE
POSSIBILITY OF SUCH DAMAGE.
"""


def test_a_bsd_text_with_its_holders_name_is_sure() -> None:
    found = identify(BSD3, facts())
    assert (found.license, found.is_sure) == ("BSD-3-Clause", True), found.why


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (BSD3, "are permitted", "for non-commercial academic purposes are permitted"),
        (BSD3, "with or without modification", "without modification"),
        (BSD3, "2. Redistributions in", "2. No part may be used to train a model.\n\n3. Redistributions in"),
        (MIT, "THE SOFTWARE IS PROVIDED", "The Software may not be used to train machine learning models.\n\nTHE SOFTWARE IS PROVIDED"),
        (MIT, "without restriction", "with restriction"),
        (MIT, "Copyright (c) 2026 Somebody", "Copyright (c) 2026 Somebody. Academic use only."),
        (BSD3, "POSSIBILITY OF SUCH DAMAGE.", "POSSIBILITY OF SUCH DAMAGE.\n\nAddendum: commercial users obtain a licence from Acme."),
    ],
)
def test_a_sentence_that_is_added_or_changed_is_shown_and_held(text: str, old: str, new: str) -> None:
    assert old in text
    changed = text.replace(old, new, 1)
    found = identify(changed, facts())
    assert not found.is_sure
    answer = answer_for("mit" if text is MIT else "bsd-3-clause", changed)
    assert (answer.verdict, answer.gate) == ("needs_review", "hold")
    shown = new.split(".")[0].split("\n")[0]
    assert "adds or changes" in found.why or "missing" in found.why
    if "adds or changes" in found.why and "train" in shown:
        assert "train" in answer.reason


def test_the_policy_may_ask_for_the_text_of_model_licences() -> None:
    document = {"uses": [{"use": "logits", "license": "llama3.1", "name": "x"}], "choices": {"tag_only_evidence": "review"}}
    assert check(case_from_json(document)).verdict == "needs_review"


@pytest.mark.parametrize(
    "line",
    [
        "Outputs belong to the Licensor.",
        "Users in the European Union are excluded",
        "This grant ends on 1 January 2027.",
        "Hosting as a service needs a separate agreement.",
        "Copyright (c) 2026 Acme, outputs of the model belong to Acme and its partners",
        "For evaluation purposes",
    ],
)
@pytest.mark.parametrize("text", [MIT, BSD3], ids=["MIT", "BSD"])
def test_a_sentence_before_the_title_or_in_the_place_of_the_holders_is_no_title(text: str, line: str) -> None:
    assert not identify(f"{line}\n{text}", facts()).is_sure
    assert not identify(f"Acme Model License\n\n{line}\n\n{text}", facts()).is_sure


@pytest.mark.parametrize(
    "line",
    [
        "Acme Model License",
        "Copyright 2024-2026 Acme Robotics GmbH and contributors",
        "Copyright (c) 2023 lucidrains",
        "Copyright (C) 2025, Jane van der Berg <jane@example.org>",
        "ACME LICENSE AGREEMENT - Version 2, Release Date: 1 May 2026",
        "https://example.org/license",
    ],
)
@pytest.mark.parametrize("text", [MIT, BSD3], ids=["MIT", "BSD"])
def test_titles_holders_and_addresses_before_a_text_change_nothing(text: str, line: str) -> None:
    found = identify(f"{line}\n\n{text}", facts())
    assert found.is_sure, found.why
