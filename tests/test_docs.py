"""What the pages say is so: commands exist, links lead somewhere, shipped names are the ones told."""

from __future__ import annotations

import re
import tomllib

import pytest

from kdgov.cli.app import COMMANDS


def pages(root):
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def test_every_command_a_page_names_exists(project_root):
    known = set(COMMANDS) | {"--version", "--help"}
    wrong = []
    for page in pages(project_root):
        for name in re.findall(r"(?:^|[`\s$/])kdgov ([a-z-]+)", page.read_text()):
            if name not in known and re.search(rf"`kdgov {name}|\$ kdgov {name}|^    kdgov {name}", page.read_text(), re.M):
                wrong.append(f"{page.name}: kdgov {name}")
    assert not wrong


def test_every_command_stands_in_some_page(project_root):
    text = "\n".join(page.read_text() for page in pages(project_root))
    assert not [name for name in COMMANDS if f"kdgov {name}" not in text]


def test_every_relative_link_leads_somewhere(project_root):
    dead = []
    for page in pages(project_root):
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
            # Pages of reference/ are made with the site, whose build refuses a link that leads nowhere.
            made = re.fullmatch(r"(\.\./)*reference/(commands|python|release|suite|card|policy|case)\.md", target)
            if not made and not (page.parent / target).exists():
                dead.append(f"{page.relative_to(project_root)}: {target}")
    assert not dead


@pytest.mark.parametrize("target", ["release", "test", "setup", "serve", "bench", "nightly"])
def test_every_make_target_a_page_names_exists(project_root, target):
    assert re.search(rf"^{target}:", (project_root / "Makefile").read_text(), re.M)


def test_every_count_of_licences_is_the_number_that_ships(project_root):
    from kdgov.license.catalogue.facts import facts

    ships = str(len(facts().licenses))
    texts = {page: page.read_text() for page in [*pages(project_root), project_root / "CHANGELOG.md"]}
    told = {(page.name, n) for page, text in texts.items() for n in re.findall(r"\b(\d+) licences", text) if int(n) > 20}
    assert {(name, n) for name, n in told if n != ships} == set()


def test_every_extra_that_a_text_or_message_names_exists(project_root):
    declared = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    files = [*pages(project_root), project_root / "CHANGELOG.md", *(project_root / "kdgov").rglob("*.py"), *project_root.glob("*.md")]
    wrong = []
    for file in files:
        text = file.read_text()
        named = [n for group in re.findall(r"kdgov\[([a-z][a-z0-9,_-]*)\]", text) for n in group.split(",")]
        named += re.findall(r"\bextra ``?([a-z][a-z0-9_-]*)``?", text)
        wrong += [f"{file.name}: {name}" for name in named if name not in declared]
    assert not wrong
