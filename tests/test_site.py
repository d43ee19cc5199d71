"""The documentation site: built without a warning, and complete by construction (commands, keys, names, words)."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

import kdgov
from kdgov.cli.app import COMMANDS
from kdgov.declarations.file_schemas import SCHEMAS, declaration_schema


@pytest.fixture(scope="module")
def builder():
    from tests.conftest import ROOT

    spec = importlib.util.spec_from_file_location("site_build", ROOT / "docs" / "site" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_and_option_is_on_the_page_of_commands(builder):
    page = builder.commands_page()
    for name, entry in COMMANDS.items():
        assert f"## kdgov {name}\n" in page
        assert entry.help.split(":")[0] in page.replace("\n", " ")
    for words in ("kdgov policy drill", "kdgov license check", "`--format`", "Exit codes"):
        assert words in page
    assert "[bold]" not in page


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_key_of_a_declared_file_is_on_its_page_with_its_meaning(builder, kind):
    page = builder.keys_page(kind)
    shapes = [declaration_schema(kind), *declaration_schema(kind).get("$defs", {}).values()]
    for shape in shapes:
        for key in shape.get("properties", {}):
            assert re.search(rf"^\| `{key}` \| .+ \| .* \| .{{8,}} \|$", page, re.M), key


def test_every_public_name_is_on_the_page_of_python(builder):
    page = builder.python_page()
    assert [name for name in kdgov.__all__ if f".. autofunction:: kdgov.{name}\n" not in page] == []
    for module, names in builder.RESULTS.items():
        assert all(hasattr(__import__(module, fromlist=["_"]), name) for name in names)


def test_the_glossary_explains_the_words_of_the_project_in_order(project_root):
    text = (project_root / "docs" / "glossary.md").read_text()
    words = re.findall(r"^([A-Z][^\n]+)\n: ", text, re.M)
    expected = {"Teacher", "Student", "Item", "Cluster", "Criterion", "Finding", "Bundle", "Statement", "Standing", "Waiver", "Verdict"}
    assert expected <= set(words)
    assert words == sorted(words, key=str.lower)


def test_every_page_of_docs_is_in_the_contents(project_root):
    docs = project_root / "docs"
    listed = re.findall(r"^([\w./-]+)$", (docs / "index.md").read_text(), re.M)
    pages = {p.relative_to(docs).with_suffix("").as_posix() for p in docs.rglob("*.md")} - {"index"}
    assert {page for page in pages if not page.startswith("decisions/0")} <= set(listed)


@pytest.mark.nightly
@pytest.mark.ci
def test_the_site_builds_without_a_warning(builder, tmp_path):
    pytest.importorskip("sphinx")
    builder.gather(tmp_path / "pages")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(tmp_path / "pages"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    html = (tmp_path / "site" / "reference" / "python.html").read_text()
    assert [name for name in kdgov.__all__ if f'id="kdgov.{name}"' not in html] == []
