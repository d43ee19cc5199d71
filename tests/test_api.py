"""The Python interface: typed, listed, cheap to import, and every example in its docstrings runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys

import pytest

import kdgov
from kdgov.errors import InputError
from kdgov.items import ItemTable

CONTRACT = {"check", "distill", "evaluate", "gate", "record", "promote", "audit", "license_check", "drill", "load_model"}
AT_HAND = ("gate", "license_check", "drill")
ONE_RELEASE = ("check", "distill", "evaluate", "record", "promote", "load_model", "audit")
POLICY = {"schema": "kdgov.policy/1", "name": "p", "version": "1", "criteria": [
    {"id": "c", "kind": "non_inferiority", "direction": "higher", "margin": 0.05}]}  # fmt: skip


def _run(name: str, **names: object) -> None:
    function = getattr(kdgov, name)
    examples = [e for e in doctest.DocTestFinder(recurse=False).find(function, name, globs={"kdgov": kdgov, **names}) if e.examples]
    assert examples, f"kdgov.{name} shows no call"
    for example in examples:
        told: list[str] = []
        assert doctest.DocTestRunner(verbose=False).run(example, out=told.append).failed == 0, "".join(told)


@pytest.mark.parametrize("name", [n for n in kdgov.__all__ if n not in ONE_RELEASE])
def test_every_example_of_a_function_runs(name):
    _run(name)


@pytest.mark.nightly
@pytest.mark.real
def test_every_example_of_the_steps_runs_in_the_order_of_a_release(tmp_path, project_root, monkeypatch):
    monkeypatch.chdir(project_root)
    for name in ONE_RELEASE:
        _run(name, store=tmp_path)


def test_every_other_example_in_the_package_runs(project_root):
    """Modules whose docstrings hold examples, the functions above apart."""
    failed = []
    for path in sorted((project_root / "kdgov").rglob("*.py")):
        if path.parent.name == "api" or "    >>> " not in path.read_text():
            continue
        module = importlib.import_module(".".join(path.relative_to(project_root).with_suffix("").parts))
        if doctest.testmod(module, verbose=False).failed:
            failed.append(path.name)
    assert not failed


def test_the_names_are_those_of_the_contract():
    assert set(kdgov.__all__) >= CONTRACT
    assert kdgov.__all__ == sorted(kdgov.__all__)
    assert set(dir(kdgov)) >= set(kdgov.__all__)
    with pytest.raises(AttributeError, match="no attribute 'gates'"):
        _ = kdgov.gates


@pytest.mark.parametrize("name", kdgov.__all__)
def test_every_function_has_a_typed_signature_and_a_contract(name):
    function = getattr(kdgov, name)
    assert inspect.isfunction(function)
    signature = inspect.signature(function)
    kinds = {p.kind for p in signature.parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
    documented = inspect.getdoc(function) or ""
    assert [n for n in signature.parameters if f"{n}:" not in documented] == []


def test_importing_the_package_costs_nothing_heavy():
    probe = (
        "import kdgov, sys; names = kdgov.__all__; print(sorted({'torch', 'mlflow', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)));"
        "kdgov.gate, kdgov.check, kdgov.promote;"
        "print(sorted({'torch', 'transformers', 'mlflow', 'lm_eval', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


def test_the_package_says_that_it_is_typed(project_root):
    assert (project_root / "kdgov" / "py.typed").is_file()
    text = (project_root / "kdgov" / "__init__.py").read_text()
    assert [n for n in kdgov.__all__ if n not in text.partition("__version__")[0].partition("TYPE_CHECKING:")[2]] == []


def _rows(n=400, **more):
    return [{"suite": "s", "task": "t", "item_id": str(i), "metric": "acc", "score": float(i % 5 > 0), **more} for i in range(n)]


def test_the_gate_decides_alike_whatever_holds_the_items(tmp_path):
    import json

    import pandas as pd
    import pyarrow as pa

    file = tmp_path / "items.jsonl"
    rows = _rows(group={"gender": "female"})
    file.write_text("\n".join(json.dumps(row) for row in rows))
    as_text = [{**row, "group": json.dumps(row["group"])} for row in rows]
    forms = {
        "path": str(file),
        "pathlib": file,
        "paths": [file],
        "table": ItemTable.from_rows(rows),
        "pyarrow": pa.Table.from_pylist(as_text),
        "pandas": pd.DataFrame(as_text),
        "pandas with mappings": pd.DataFrame(rows),
    }
    policy = {**POLICY, "criteria": [{**POLICY["criteria"][0], "by": ["gender"]}]}
    decisions = {name: kdgov.gate(form, form, policy) for name, form in forms.items()}
    assert {d.verdict for d in decisions.values()} == {"pass"}
    assert len({d.digest for d in decisions.values()}) == 1, {name: d.reason for name, d in decisions.items()}


@pytest.mark.parametrize("wrong", [7, {"suite": "s"}, [], [1, 2]])
def test_what_is_no_item_table_is_refused_with_what_would_be_one(wrong):
    with pytest.raises(InputError, match="is not an item table") as refused:
        kdgov.gate(wrong, wrong, POLICY)
    assert "pyarrow Table" in refused.value.mend


def test_a_column_of_mixed_types_is_named():
    import pandas as pd

    frame = pd.DataFrame(_rows(3))
    frame["score"] = [1.0, "one", 0.0]
    with pytest.raises(InputError, match="score"):
        kdgov.gate(frame, frame, POLICY)
