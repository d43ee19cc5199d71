"""The layers of docs/architecture.md hold, and every package is named there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_layers_hold(project_root):
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=project_root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_package_has_its_row(project_root):
    page = (project_root / "docs" / "architecture.md").read_text()
    packages = {p.name for p in (project_root / "kdgov").iterdir() if (p / "__init__.py").exists()}
    missing = {name for name in packages if f"`{name}`" not in page}
    assert not missing


def test_no_path_of_a_developers_machine_stands_in_the_tree(project_root):
    tracked = subprocess.run(["git", "ls-files"], cwd=project_root, capture_output=True, text=True, check=False).stdout.split()
    needles = ("/" + "work/main", "/" + "work/shared", "/" + "tmp/bash_jobs", "/" + "root/")
    found = []
    for name in tracked:
        path = project_root / name
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".sh", ".txt", ".lock"} and path.is_file():
            text = path.read_text(encoding="utf-8", errors="ignore")
            found += [f"{name}: {needle}" for needle in needles if needle in text]
    assert not found
