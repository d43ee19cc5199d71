"""What the pages say is so: commands exist, links lead somewhere, shipped names are the ones told."""

from __future__ import annotations

import re

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
            if not (page.parent / target).exists():
                dead.append(f"{page.relative_to(project_root)}: {target}")
    assert not dead


@pytest.mark.parametrize("target", ["release", "test", "setup", "serve", "bench", "nightly"])
def test_every_make_target_a_page_names_exists(project_root, target):
    assert re.search(rf"^{target}:", (project_root / "Makefile").read_text(), re.M)
