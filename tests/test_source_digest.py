"""Keys of reused work come from the code that made it: every module a step can reach, found without a hand-kept list."""

from __future__ import annotations

import ast
import functools
import importlib.util
import shutil
import sys
from pathlib import Path

import grimp
import pytest

import kdgov.source_digest as own
from kdgov.digest import digest_file

STEPS = ("check", "distill", "evaluate", "gate", "record", "promote", "scan_teacher_text", "calibrate")
KEYED = (
    *(f"kdgov.pipeline.{step}" for step in STEPS),
    "kdgov.evaluation.backends.dispatch",
    "kdgov.distillation.distillation_run",
    "kdgov.distillation.teacher_cache.cache",
)
"""Modules whose digest is part of a key or of a record."""


def loaded(root: Path):
    """The module `kdgov.source_digest` of a copy of the package."""
    spec = importlib.util.spec_from_file_location(f"copied_{root.parent.name}", root / "source_digest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path):
    root = tmp_path / "kdgov"
    shutil.copytree(Path(own.__file__).parent, root, ignore=shutil.ignore_patterns("__pycache__"))
    module = loaded(root)
    stamped = functools.cache(lambda path, stamp: digest_file(path))
    module.digest_file = lambda path: stamped(path, path.stat().st_mtime_ns)
    return module, root


@pytest.mark.parametrize("keyed", KEYED)
def test_one_byte_of_any_module_a_step_can_reach_gives_another_key(copy, keyed):
    module, _ = copy
    before = module.source_digest(keyed)
    unnoticed = []
    for name in sorted(module.reachable_modules(keyed)):
        path = module.module_path(name)
        content = path.read_bytes()
        path.write_bytes(content + b"#")
        module._source_digest.cache_clear()
        if module.source_digest(keyed) == before:
            unnoticed.append(name)
        path.write_bytes(content)
    assert not unnoticed


@pytest.mark.parametrize(
    ("keyed", "far"),
    [
        (
            # The check plans what endpoints will be asked, with the code that asks.
            "kdgov.pipeline.check",
            ("guard", "report"),
        ),
        (
            "kdgov.pipeline.distill",
            # What a teacher wrote is scanned before training, as data are.
            ("recording", "guard", "auditing", "report"),
        ),
        (
            "kdgov.pipeline.evaluate",
            ("checks.licensing", "distillation", "recording.promotion", "recording.release_recording", "guard", "report"),
        ),
        ("kdgov.pipeline.gate", ("distillation", "evaluation", "recording", "guard", "auditing")),
        ("kdgov.pipeline.record", ("checks", "distillation", "evaluation", "auditing")),
        ("kdgov.pipeline.promote", ("checks", "distillation", "evaluation", "auditing")),
    ],
)
def test_no_step_is_done_again_for_code_it_never_runs(keyed, far):
    reached = own.reachable_modules(keyed)
    assert not {name for name in reached for package in far if f"{name}.".startswith(f"kdgov.{package}.")}


def test_no_step_reaches_another():
    for step in ("check", "distill", "evaluate", "gate", "record", "promote"):
        others = {f"kdgov.pipeline.{name}" for name in ("check", "distill", "evaluate", "gate", "record", "promote", "run")} - {
            f"kdgov.pipeline.{step}"
        }
        planned = set()
        assert not own.reachable_modules(f"kdgov.pipeline.{step}") & (others - planned)


def test_what_asks_the_models_is_part_of_the_key_though_another_process_runs_it():
    reached = own.reachable_modules("kdgov.pipeline.evaluate")
    assert {"kdgov.evaluation.evaluate_release", "kdgov.evaluation.backends.hugging_face.hf_model", "kdgov.checkpoints.loading"} <= reached


def named_in(module: str) -> set[str]:
    """Modules of kdgov that a parse of the source finds in imports, anywhere in the file."""
    known = own._modules()
    found = set()
    for node in ast.walk(ast.parse(own.module_path(module).read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(level=0):
                found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
            case ast.ImportFrom():
                raise AssertionError(f"{module} imports relatively: the pattern sees absolute imports only")
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                found.add(name)
    return {name for name in found if name in known and name != module}


def test_the_pattern_finds_every_import_that_a_parser_finds():
    missed = {name: named_in(name) - own.imports_of(name) - {"kdgov"} for name in own._modules() if name != "kdgov"}
    assert not {name: found for name, found in missed.items() if found}


def test_the_pattern_finds_every_import_that_grimp_finds():
    graph = grimp.build_graph("kdgov", cache_dir=None)
    missed = {name: graph.find_modules_directly_imported_by(name) - own.imports_of(name) for name in own._modules() if name != "kdgov"}
    assert not {name: found for name, found in missed.items() if found}


def test_every_import_by_a_computed_name_says_its_package_or_is_a_front_door():
    """`import_module(f"kdgov.x.{name}")` counts for every module of the package; a name made elsewhere would count for none."""
    hidden = []
    for name, path in own._modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                text = ast.unparse(node.args[0])
                if not text.startswith(("'", "f'")) or "{__name__}" in text:
                    hidden.append(name)
    # The worker runs what its parent names, and the parent names it in full; an identity's signer loads other people's package.
    # So does the small model of an extra, by the name of its package.
    allowed = {"kdgov.pipeline.confined.confined_worker", "kdgov.evidence.identities.identity_signer", "kdgov.checks.scan.retold_items"}
    front_doors = {"kdgov", "kdgov.recording", "kdgov.distillation"}
    assert set(hidden) <= front_doors | allowed, "a package's front door loads what it offers by name; nothing else may"


def test_a_module_that_is_split_off_or_renamed_cannot_drop_out(copy):
    _, root = copy
    (root / "digest.py").write_text((root / "digest.py").read_text() + "\nfrom kdgov.split_off import more  # noqa\n")
    (root / "split_off.py").write_text("more = 1\n")
    (root / "evaluation" / "parity.py").rename(root / "evaluation" / "agreement.py")
    for path in root.rglob("*.py"):
        if "evaluation.parity" in (text := path.read_text(encoding="utf-8")):
            path.write_text(text.replace("evaluation.parity", "evaluation.agreement"))
    module = loaded(root)
    assert "kdgov.split_off" in module.reachable_modules("kdgov.pipeline.check")
    old, new = own.reachable_modules("kdgov.pipeline.evaluate"), module.reachable_modules("kdgov.pipeline.evaluate")
    assert ("kdgov.evaluation.parity" in old) == ("kdgov.evaluation.agreement" in new)
    assert len(new) == len(old) + 1


@pytest.mark.parametrize(
    "place", ["evaluation/results/evaluation_run.py", "distillation/distillation_record.py", "distillation/teacher_cache/cache.py"]
)
def test_answer_log_distillation_record_and_teacher_cache_name_the_code_that_made_them(place):
    """Also what is kept beside the steps' results is found by the code it came from."""
    text = (Path(own.__file__).parent / place).read_text()
    assert any(f'source_digest("{name}")' in text for name in KEYED) or ("source_digest(__name__)" in text)


def test_a_name_that_is_no_module_is_an_error():
    with pytest.raises(KeyError):
        own.source_digest("kdgov.no_such_module")
    assert "kdgov.no_such_module" not in sys.modules


def test_version_and_data_files_count(copy, monkeypatch):
    module, root = copy
    before = module.source_digest("kdgov.license")
    (root / "license" / "data" / "new-fact.yaml").write_text("x: 1\n")
    module._source_digest.cache_clear()
    with_data = module.source_digest("kdgov.license")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    module._source_digest.cache_clear()
    assert len({before, with_data, module.source_digest("kdgov.license")}) == 3
