"""What ships beside a student: the texts that are written, and whether a file really holds what an obligation asks for."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.checks.licensing.shipped_files import shipped_evidence, texts_at_hand
from kdgov.cli.app import app
from kdgov.errors import DeclarationError
from kdgov.license import Evidence, case_from_json, check
from kdgov.license.catalogue.facts import facts
from kdgov.license.catalogue.text_recognition import identify
from kdgov.license.notice import notice_files, wanted_texts

AS_OF = datetime.date(2026, 11, 22)
CASE = {
    "student": {"name": "Llama-Acme-7B", "license": "LicenseRef-acme"},
    "uses": [
        {"use": "weights_init", "license": "Apache-2.0", "name": "Qwen2.5-7B", "notice_file": False},
        {"use": "generated_text", "license": "LicenseRef-scancode-qwen-2024", "name": "Qwen2.5-72B"},
        {"use": "dataset_train", "license": "cc-by-4.0", "name": "open-corpus"},
        {"use": "generated_text", "license": "gemma", "name": "Gemma-2-27B"},
    ],
}


def case_of(document=None):
    return case_from_json(document or CASE, as_of=AS_OF)


def _one(kind: str, license_: str, contents: str | None, **use) -> object:
    """Standing of one obligation with one file as evidence."""
    entry = {"use": "weights_init", "license": license_, "name": "upstream", **use}
    case = case_of({"student": {"name": "acme", "license": "LicenseRef-acme"}, "uses": [entry]})
    shown = replace(case, evidence=(Evidence(obligation=kind, license=license_, file="FILE", contents=contents),))
    return next(o for o in check(shown).obligations if o.kind == kind)


APACHE = texts_at_hand(case_of(), ["Apache-2.0"])["Apache-2.0"]


def test_the_text_that_is_shipped_is_proven_to_be_that_text():
    match = identify(APACHE, facts())
    assert (match.license, match.is_sure) == ("Apache-2.0", True)
    # A text with a holder's name must be the upstream's own: no other package's will do.
    assert texts_at_hand(case_of(), ["MIT", "BSD-3-Clause"]) == {}


def test_the_upstreams_own_text_is_shipped_where_the_case_has_it():
    uses = [{"use": "weights_init", "license": "Apache-2.0", "name": "base", "license_text": "LICENSE"}]
    case = case_from_json({"uses": uses}, as_of=AS_OF, read_text=lambda name: APACHE + "\n\nCopyright the base's authors\n")
    assert "the base's authors" in texts_at_hand(case, ["Apache-2.0"])["Apache-2.0"]


@pytest.mark.parametrize(
    ("kind", "license_", "contents", "use", "said"),
    [
        ("LICENSE_COPY", "Apache-2.0", APACHE, {}, ""),
        ("LICENSE_COPY", "Apache-2.0", APACHE.replace("Derivative Works", "Copies", 9), {}, "differ"),
        ("LICENSE_COPY", "Apache-2.0", "Apache-2.0, see the web", {}, "is not the text"),
        ("LICENSE_COPY", "MIT", APACHE, {}, "is the text of Apache License 2.0"),
        ("LICENSE_COPY", "Apache-2.0", "", {}, "is empty"),
        ("LICENSE_COPY", "Apache-2.0", None, {}, "was not read"),
        ("DISPLAY", "llama3.1", "# Acme\n**Built with\nLlama**", {}, ""),
        ("DISPLAY", "llama3.1", "# Acme\nBuilt on the shoulders of llamas", {}, "does not hold 'Built with Llama'"),
        ("NOTICE", "gemma", "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms", {}, ""),
        ("NOTICE", "gemma", "Thanks to Google.", {}, "does not hold"),
        ("ATTRIB", "CC-BY-4.0", "Uses upstream (CC-BY-4.0), https://example.org", {}, ""),
        ("ATTRIB", "CC-BY-4.0", "Uses something (CC-BY-4.0)", {}, "does not name upstream"),
        ("ATTRIB", "CC-BY-4.0", "Uses upstream", {}, "does not name the licence"),
        ("ATTRIB", "CC-BY-4.0", "Uses upstream, CC-BY-4.0. [Creator and link]", {}, "still holds a place to fill in"),
        ("DISPLAY", "llama3.1", "[Copy](copy.md) of the [Creator page]. Built with Llama.", {}, ""),
        ("STATE_CHANGES", "Apache-2.0", "This is a modified work.", {}, ""),
        ("STATE_CHANGES", "Apache-2.0", "This is a work.", {}, "does not say that anything was changed"),
        ("FLOW_DOWN", "gemma", "Gemma 3.2: be good.", {}, "does not set them out"),
        ("FLOW_DOWN", "gemma", "Use restrictions of the Gemma Terms of Use. " + "You must not use it so. " * 12, {}, ""),
        ("FLOW_DOWN", "gemma", "You must not use it so. " * 12, {}, "does not name the restrictions"),
    ],
)
def test_a_file_meets_an_obligation_only_if_it_holds_what_is_asked(kind, license_, contents, use, said):
    found = _one(kind, license_, contents, **use)
    assert found.met is (said == ""), found.why
    assert said in found.why


def test_what_is_written_meets_what_can_be_met_and_says_the_rest(tmp_path):
    case = case_of()
    answer = check(case)
    files = notice_files(case, answer, texts=texts_at_hand(case, wanted_texts(answer)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert {"ATTRIBUTION.md", "USE_RESTRICTIONS.md", "LICENSES/Apache-2.0.txt", "LICENSE_OBLIGATIONS.md"} <= files.keys()
    to_do = files["LICENSE_OBLIGATIONS.md"]
    assert "LICENSES/LicenseRef-scancode-gemma-tou-2025-03-24.txt: the licence file that came with Gemma-2-27B" in to_do
    assert yaml.safe_load(to_do.split("```yaml\n")[1].split("```")[0])["evidence"]
    half = check(replace(case, evidence=shipped_evidence(answer, tmp_path)))
    standing = {(o.kind, o.license): o.met for o in half.obligations}
    assert standing["LICENSE_COPY", "Apache-2.0"] is True
    assert standing["FLOW_DOWN", "LicenseRef-scancode-gemma-tou-2025-03-24"] is False
    assert half.gate == "block"
    # A person fills the brackets and adds the text that nobody but the upstream has.
    for name in ("ATTRIBUTION.md", "USE_RESTRICTIONS.md", "NOTICE"):
        filled = (tmp_path / name).read_text().replace("[Creator and link]", "By A. Author, https://example.org")
        lines = [line if not line.startswith("[") else "None of these uses: " + "harm, " * 40 for line in filled.splitlines()]
        (tmp_path / name).write_text("\n".join(lines))
    (tmp_path / "LICENSES" / "LicenseRef-scancode-gemma-tou-2025-03-24.txt").write_text("stands in for Google's text")
    almost = check(replace(case, evidence=shipped_evidence(answer, tmp_path)))
    assert [o.kind for o in almost.obligations if o.met is False] == ["LICENSE_COPY"]


def test_the_command_writes_then_reads_and_blocks_until_everything_is_there(tmp_path):
    case = tmp_path / "case.yaml"
    case.write_text(
        "student: {name: acme, license: LicenseRef-acme}\n"
        "uses: [{use: weights_init, license: Apache-2.0, name: base, notice_file: false}]\n"
    )
    out = tmp_path / "student"
    run = CliRunner()
    assert run.invoke(app, ["license", "notice", str(case), "--out", str(out), "--check"]).exit_code == 2
    assert run.invoke(app, ["license", "notice", str(case), "--out", str(out)]).exit_code == 0
    told = run.invoke(app, ["license", "notice", str(case), "--out", str(out), "--check"])
    assert told.exit_code == 0, told.output
    (out / "LICENSES" / "Apache-2.0.txt").write_text("see the web")
    told = run.invoke(app, ["license", "notice", str(case), "--out", str(out), "--check"])
    assert told.exit_code == 1
    assert "is not the text of Apache License 2.0" in told.output


def test_an_evidence_file_that_is_not_there_is_a_fault_of_the_case(tmp_path):
    document = {**CASE, "evidence": [{"obligation": "NOTICE", "license": "gemma", "file": "NOTICE"}]}
    with pytest.raises(DeclarationError, match="NOTICE cannot be read"):
        case_from_json(document, read_text=lambda name: (tmp_path / name).read_text())
