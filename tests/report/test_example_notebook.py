"""The example notebook runs from top to bottom, and every result that a cell ends with shows itself."""

from __future__ import annotations

import ast
import json


def test_the_example_notebook_runs_and_shows_its_results(project_root):
    document = json.loads((project_root / "docs" / "example.ipynb").read_text(encoding="utf-8"))
    assert (document["nbformat"], {cell["cell_type"] for cell in document["cells"]}) == (4, {"code", "markdown"})
    space: dict = {}
    shown = []
    for cell in document["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == []
        body = ast.parse(cell["source"]).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), "cell", "exec"), space)  # noqa: S102 - the notebook of this repository
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), space)  # noqa: S307
            shown.append(value._repr_html_())
    decision, comparison, items = shown
    assert "PASS: the student may be promoted" in decision
    assert "<strong>PASS</strong>" in comparison
    assert items.startswith("<iframe")
    assert "3 lost and 0 won" in items
