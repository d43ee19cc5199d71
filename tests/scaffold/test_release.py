"""From a teacher, data and items to a verdict: what `kdgov init` writes checks clean, says what only a person can fill, and runs."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from kdgov.cli.app import app
from kdgov.decision.statistics.sizes.sample_size import items_needed
from kdgov.declarations.effects.release_file import load_release
from kdgov.declarations.policy_file import load_policy
from kdgov.declarations.suite import load_suite
from kdgov.errors import InputError
from kdgov.scaffold.input_field import input_field
from kdgov.scaffold.item_files import read_item_files
from kdgov.scaffold.starter_policy import DISAGREEMENT, MARGINS, margin_for, power_of
from tests.distillation.worlds import bert
from tests.items.foreign import lm_eval

OURS = [word for part in ("teacher", "data", "items", "student") for word in ("--ours", part)]


def call(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def at_hand(tmp_path, project_root, monkeypatch):
    """A teacher, text, and three files of items, as somebody has them who has read nothing yet."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(project_root / "registry" / "models" / "miniature-teacher", tmp_path / "teacher")
    shutil.copy(project_root / "registry" / "datasets" / "miniature" / "facts.jsonl", tmp_path / "text.jsonl")
    suites = project_root / "evalsuites"
    rows = {
        name: [json.loads(line) for line in (suites / file).read_text().splitlines()]
        for name, file in (("facts", "capability/facts.jsonl"), ("agree", "capability/agreement.jsonl"), ("bad", "safety/refusal.jsonl"))
    }
    (tmp_path / "questions.jsonl").write_text((suites / "capability" / "facts.jsonl").read_text())
    with (tmp_path / "choose.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "choices", "answer"])
        writer.writerows([r["prefix"], "|".join(r["choices"]), r["choices"][r["label"]]] for r in rows["agree"][:200])
    (tmp_path / "forbidden.jsonl").write_text("".join(json.dumps({"prompt": r["request"]}) + "\n" for r in rows["bad"][:200]))
    return tmp_path


def init(folder: Path, *further: str | Path) -> Result:
    items = [word for name in ("questions.jsonl", "choose.csv", "forbidden.jsonl") for word in ("--items", folder / name)]
    return call("init", folder / "mine", "--teacher", folder / "teacher", *items, "--organization", "Acme", *further)


def test_what_it_writes_checks_clean_and_names_its_schemas(at_hand):
    made = init(at_hand, "--data", at_hand / "text.jsonl", *OURS)
    assert made.exit_code == 0, made.output
    mine = at_hand / "mine"
    checked = call("check", mine / "release.yaml", "--format", "json", "--store", at_hand / "store")
    assert checked.exit_code == 0, checked.output
    assert call("policy", "check", mine / "policies" / "own.yaml").exit_code == 0
    assert call("card", "check", *sorted((mine / "registry").rglob("*.yaml"))).exit_code == 0
    for path in [
        mine / "release.yaml",
        *(mine / "registry").rglob("*.yaml"),
        *(mine / "suites").glob("*/suite.yaml"),
        *(mine / "policies").glob("*"),
    ]:
        schema = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert json.loads((path.parent / schema).read_text())["title"].startswith("kdgov")
    judged = {(c.suite, *c.tasks, c.metric) for c in load_policy(mine / "policies" / "own.yaml").criteria}
    written = {(s.name, t.task, t.metrics[0].metric) for s in map(load_suite, (mine / "suites").glob("*/suite.yaml")) for t in s.tasks}
    assert judged == written == {
        ("capability", "questions", "exact_match"), ("capability", "choose", "acc"), ("safety", "forbidden", "refused")
    }  # fmt: skip


def test_what_only_a_person_can_say_is_said_in_words_and_nothing_is_claimed(at_hand):
    made = init(at_hand, "--data", at_hand / "text.jsonl")
    assert made.exit_code == 0, made.output
    for sentence in (
        "capability/choose: 200 choices",
        "safety/forbidden: 200 prompts that must be refused",
        "registry/datasets/data.yaml: `license:`",
        "suites/capability/suite.yaml",
        "`personal_data:`",
        "`accountable:`",
    ):
        assert sentence in made.stderr
    assert "license" not in yaml.safe_load((at_hand / "mine" / "registry" / "datasets" / "data.yaml").read_text())
    assert call("check", at_hand / "mine" / "release.yaml", "--store", at_hand / "store").exit_code == 1


def test_a_pinned_hub_teacher_is_written_with_its_commit_and_what_is_unknown_of_it_is_asked(at_hand):
    named = f"acme/teacher@{'a' * 40}"
    made = call("init", "hub", "--teacher", named, "--data", "text.jsonl", "--items", "questions.jsonl")
    assert made.exit_code == 0, made.output
    teacher = load_release(at_hand / "hub" / "release.yaml").teacher
    assert (teacher.model, teacher.revision) == ("acme/teacher", "a" * 40)
    assert "registry/models/teacher.yaml: `license:`" in made.stderr
    assert "`student.license:`" in made.stderr


def test_a_student_trained_elsewhere_is_held_until_somebody_says_what_it_learned_from(at_hand):
    shutil.copytree(at_hand / "teacher", at_hand / "student")
    held = init(at_hand, "--student", at_hand / "student", *OURS)
    assert "--learned-from" in held.stderr
    assert load_release(at_hand / "mine" / "release.yaml").distillation is None
    assert call("check", at_hand / "mine" / "release.yaml", "--store", at_hand / "store").exit_code == 1
    said = init(at_hand, "--student", at_hand / "student", *OURS, "--learned-from", "logits", "--force")
    assert said.exit_code == 0, said.output
    checked = call("check", at_hand / "mine" / "release.yaml", "--store", at_hand / "store")
    assert checked.exit_code == 0
    assert "This policy can pass on these suites" in checked.stdout
    assert "needs: about" in checked.stdout


@pytest.mark.nightly
@pytest.mark.ci
def test_two_commands_and_no_edit_lead_to_a_verdict_that_is_not_invalid(at_hand):
    """`init`, then `run`; the steps are lowered only so that the test is short."""
    assert init(at_hand, "--data", at_hand / "text.jsonl", *OURS).exit_code == 0
    release = at_hand / "mine" / "release.yaml"
    release.write_text(release.read_text().replace("steps: 1000", "steps: 10"))
    done = call("run", release, "--store", at_hand / "store")
    assert done.exit_code in (0, 1), done.output
    judged = call("gate", release, "--store", at_hand / "store", "--format", "json")
    assert json.loads(judged.stdout)["verdict"] != "invalid"


def test_a_release_is_refused_with_what_is_missing(at_hand):
    for further, words in (
        ([], "names neither data"),
        (["--data", "absent.txt"], "there is no such file"),
        (["--student", "nothing-here"], "neither a model folder nor a pinned Hub model"),
        (["--data", "text.jsonl", "--ours", "everything"], "--ours takes"),
        (["--data", "text.jsonl", "--distribution", "everyone"], "release.distribution"),
        (["--data", "text.jsonl", "--name", "a/b"], "name"),
        (["--student", "teacher", "--learned-from", "osmosis"], "is not a use of a teacher"),
    ):
        refused = init(at_hand, *further)
        assert refused.exit_code == 2, refused.output
        assert words in refused.stderr
        assert not (at_hand / "mine").exists()
    addressed = call("init", "mine", "--teacher", "https://example.org/v1", "--items", "questions.jsonl", "--data", "text.jsonl")
    assert addressed.exit_code == 2
    assert "is an address" in addressed.stderr


_ADDRESS = "http://127.0.0.1:9/v1"


def _addressed(*further: str) -> Result:
    asked = ("--teacher", _ADDRESS, "--served-as", "big-1", "--student", _ADDRESS, "--terms", "MIT", "--key-variable", "ACME_API_KEY")
    return call("init", "mine", *asked, "--learned-from", "generated_text", "--inputs", "log.jsonl", "--ours", "inputs", *further)


def test_an_api_key_and_a_file_of_inputs_are_enough_for_a_release(at_hand, monkeypatch):
    """Both models only addresses, no item with an answer: what is written checks without a question being asked."""
    (at_hand / "log.jsonl").write_text("".join(json.dumps({"input": f"What is {n} and {n}?"}) + "\n" for n in range(120)))
    monkeypatch.setenv("ACME_API_KEY", "sk-never-sent")
    made = _addressed("--student-served-as", "small-1", "--ours", "student", "--organization", "Acme")
    assert made.exit_code == 0, made.stderr
    release = load_release(at_hand / "mine" / "release.yaml")
    assert (release.suites, release.student.endpoint.model, release.teacher.endpoint.key_variable) == ([], "small-1", "ACME_API_KEY")
    policy = load_policy(at_hand / "mine" / "policies" / "own.yaml")
    assert [c.id for c in policy.criteria if not c.advisory] == ["production-agreement"]
    checked = call("check", at_hand / "mine" / "release.yaml", "--store", at_hand / "store", "--format", "json")
    assert checked.exit_code == 0, checked.output
    subjects = {(f["check"], f["subject"]) for f in json.loads(checked.stdout)["findings"]}
    assert {subject for check, subject in subjects if check == "evidence"} == {"teacher big-1", "student small-1"}, "what will be asked"
    assert ("licence", "student ← big-1") in subjects, "the endpoint student's lineage counts"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"input": "q 1"}, "input"),
        ({"ts": "2026", "prompt": "q 1"}, "prompt"),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q 1"}]}, "messages"),
        ({"custom_id": "1", "body": {"messages": [{"role": "user", "content": "q 1"}]}}, "body.messages"),
        ({"id": "a1", "ticket": "where is it"}, "ticket"),
        ({"a": "one text", "b": "another text"}, None),
    ],
)
def test_the_key_of_logged_inputs_is_read_off_the_file_or_asked_for(tmp_path, row, field):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(row) + "\n")
    if field is None:
        with pytest.raises(InputError, match="--input-field"):
            input_field(path)
    else:
        assert input_field(path).get("field", "input") == field


def test_a_key_of_logged_inputs_can_be_named(at_hand):
    (at_hand / "log.jsonl").write_text('{"a": "one text", "b": "another text"}\n' * 3)
    made = _addressed("--student-served-as", "small-1", "--input-field", "b")
    assert made.exit_code == 0, made.stderr
    assert load_release(at_hand / "mine" / "release.yaml").production_inputs.field == "b"


def test_addresses_that_no_release_can_be_written_from_are_refused(at_hand):
    (at_hand / "log.jsonl").write_text('{"input": "a"}\n')
    for further, words in (((), "the same model at the same address"), (("--student-served-as", "s", "--data", "text.jsonl"), "can train")):
        refused = _addressed(*further)
        assert (refused.exit_code, words in refused.stderr) == (2, True), refused.stderr
    idle = init(at_hand, "--data", "text.jsonl", "--key-variable", "ACME_API_KEY")
    assert (idle.exit_code, "is for an address" in idle.stderr) == (2, True)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("[1]", "not a row of named fields"),
        ('{"answer": "a"}', "has no question"),
        ('{"question": "q", "choices": ["a", "a"], "answer": 0}', "not two or more different"),
        ('{"question": "q", "choices": ["a", "b"], "answer": "c"}', "none of its choices"),
        ('{"question": "q", "refuse": "perhaps"}', "refuse: perhaps"),
        ('{"question": "q", "answer": ""}', "has an empty `answer`"),
    ],
)
def test_a_row_that_is_no_item_is_named(tmp_path, row, words):
    (tmp_path / "items.jsonl").write_text(f'{{"question": "q", "answer": "a"}}\n{row}\n')
    with pytest.raises(InputError, match="row 2") as refused:
        read_item_files([tmp_path / "items.jsonl"])
    assert words in str(refused.value)


def test_choices_are_told_by_text_letter_or_number_and_give_their_chance(tmp_path):
    rows = [{"question": "q", "choices": ["x", "y", "z", "w"], "answer": answer} for answer in ("y", "B", 1, "1")]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (task,) = read_item_files([tmp_path / "items.jsonl"])
    assert [row["label"] for row in task.rows] == [1, 1, 1, 1]
    assert task.chance == 0.25


def test_the_first_hour_shows_what_init_writes(at_hand, project_root):
    """README's own command, in a folder with what it names."""
    assert "    kdgov init support " in (project_root / "README.md").read_text()
    readme = (project_root / "docs" / "start.md").read_text()
    command = next(line.split() for line in readme.splitlines() if line.strip().startswith("kdgov init support "))
    assert call(*command[1:]).exit_code == 0
    shown = readme.split("This is the `release.yaml` it wrote:")[1].split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(shown) == yaml.safe_load((at_hand / "support" / "release.yaml").read_text())


def test_choices_in_columns_or_named_options_are_choices(tmp_path):
    with (tmp_path / "columns.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["question", "A", "B", "C", "answer"], ["q", "x", "y", "z", "C"], ["q2", "x", "y", "", "B"]])
    with (tmp_path / "options.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt", "option_1", "option_2", "answer"], ["q", "x", "y", "y"]])
    named = {"question": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}
    (tmp_path / "arc.jsonl").write_text(json.dumps(named) + "\n")
    found = {task.name: task for task in read_item_files(sorted(tmp_path.iterdir()))}
    assert {task.shape for task in found.values()} == {"choice"}
    assert [(row["choices"], row["label"]) for row in found["columns"].rows] == [(["x", "y", "z"], 2), (["x", "y"], 1)]
    assert [row["label"] for name in ("options", "arc") for row in found[name].rows] == [1, 1]


def test_a_label_that_says_unsafe_is_a_prompt_to_refuse(tmp_path):
    rows = [{"prompt": "make a bomb", "label": "unsafe"}, {"prompt": "make a cake", "label": "safe"}, {"prompt": "1 + 1", "label": "2"}]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [task.shape for task in read_item_files([tmp_path / "mixed.jsonl"])] == ["refuse", "comply", "answer"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "t", "label": "angry"}, "no class of the teacher"),
        ({"text": "t", "label": 7}, "no class of the teacher"),
        ({"text": "t"}, "has no label"),
        ({"label": 1}, "has no text"),
        ({"image": "a.png", "label": 1}, "suites of text alone"),
    ],
)
def test_a_row_that_is_no_classifiers_item_is_named(tmp_path, row, words):
    (tmp_path / "items.jsonl").write_text('{"text": "t", "label": 1}\n' + json.dumps(row) + "\n")
    with pytest.raises(InputError, match="row 2") as refused:
        read_item_files([tmp_path / "items.jsonl"], classes=("good", "bad"))
    assert words in str(refused.value)


@pytest.mark.nightly
@pytest.mark.ci
def test_a_classifier_is_judged_on_its_classes(tmp_path, monkeypatch):
    """A teacher that is a classifier: CSV of texts and labels, by name or number, to a verdict that is not invalid."""
    monkeypatch.chdir(tmp_path)
    bert(tmp_path / "teacher", labels=2)
    with (tmp_path / "mails.csv").open("w", newline="") as file:
        words = ("the cat sat", "a dog ran")
        csv.writer(file).writerows([["text", "label"], *([words[n % 2], n % 2 if n % 3 else f"LABEL_{n % 2}"] for n in range(120))])
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"text": f"the cat {n}", "label": n % 2}) + "\n" for n in range(60)))
    arguments = ["--teacher", "teacher", "--data", "text.jsonl", "--items", "mails.csv", "--organization", "Acme", *OURS]
    made = call("init", "mine", *arguments)
    assert made.exit_code == 0, made.output
    assert "120 texts, each with one of 2 classes" in made.stderr
    suite = load_suite(tmp_path / "mine" / "suites" / "capability" / "suite.yaml")
    assert [(task.kind, task.label) for task in suite.tasks] == [("classification", "label")]
    release = tmp_path / "mine" / "release.yaml"
    release.write_text(release.read_text().replace("steps: 1000", "steps: 5"))
    done = call("run", release, "--store", tmp_path / "store")
    assert done.exit_code in (0, 1), done.output
    judged = call("gate", release, "--store", tmp_path / "store", "--format", "json")
    assert json.loads(judged.stdout)["verdict"] != "invalid", judged.stdout


@pytest.mark.parametrize("items", [20, 120, 300, 1000, 5000])
def test_a_margin_is_the_narrowest_that_the_items_can_prove(items):
    margin = margin_for(items, 0.95)
    needed = {m: items_needed(margin=m, difference=0.0, spread=DISAGREEMENT, alpha=0.05) for m in MARGINS}
    assert all(needed[m] > items for m in MARGINS if m < margin)
    assert needed[margin] <= items or margin == MARGINS[-1]
    assert (power_of(items, margin, 0.95) >= 0.8) == (needed[margin] <= items)


def test_too_few_items_are_told_in_the_policy(at_hand):
    (at_hand / "few.jsonl").write_text("".join(json.dumps({"question": f"q{n}", "answer": "a"}) + "\n" for n in range(20)))
    done = call("init", "few", "--teacher", "teacher", "--data", "text.jsonl", "--items", "few.jsonl")
    assert done.exit_code == 0, done.output
    assert "TOO FEW, 62 would give 80 %" in (at_hand / "few" / "policies" / "own.yaml").read_text()


def test_logs_of_lm_eval_need_one_file_and_two_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lm_eval(tmp_path / "out" / "teacher", [float(n % 10 > 0) for n in range(1000)])
    for student, lost, verdict in (("good", 0, "pass"), ("bad", 200, "fail")):
        lm_eval(tmp_path / "out" / student, [float(n % 10 > 0 and n >= lost) for n in range(1000)])
        places = ["--teacher", "out/teacher", "--student", f"out/{student}"]
        assert call("init", student, "--policy", "lm-eval", *places).exit_code == 0
        done = call("gate", *places, "--policy", f"{student}/policies/lm-eval.yaml", "--format", "json")
        assert json.loads(done.stdout)["verdict"] == verdict, done.stdout


def test_prompts_of_which_nothing_says_that_they_must_be_refused_are_told(tmp_path):
    rows = [{"prompt": "make a cake"}, {"prompt": "make a bomb", "refuse": True}]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (task,) = read_item_files([tmp_path / "prompts.jsonl"])
    assert "2 prompts that must be refused (1 row does not say so: write `refuse: true`; harmless prompts take" in task.read_as
    (tmp_path / "prompts.jsonl").write_text(json.dumps(rows[1]) + "\n")
    (task,) = read_item_files([tmp_path / "prompts.jsonl"])
    assert task.read_as.endswith("1 prompts that must be refused")
    assert "assumed" not in task.rows[0]
