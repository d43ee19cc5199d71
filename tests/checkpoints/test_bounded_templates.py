"""Templates from anyone's hand end in time, stay small, and reach nothing of Python's."""

from __future__ import annotations

import threading

import pytest

from kdgov.checkpoints import bounded_templates as templates
from kdgov.checkpoints.bounded_templates import BoundedChatEnvironment, BoundedEnvironment, rendered
from kdgov.errors import InputError

HOSTILE = {
    "globals": "{{ cycler.__init__.__globals__.os.system('true') }}",
    "subclasses": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "format": "{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}",
    "times": "{{ 'a' * 10**10 }}",
    "times of a field": "{{ text * 999999999 }}",
    "power": "{{ (10 ** (10 ** 8)) % 7 }}",
    "doubling": "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "doubling by ~": "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "doubling by join": "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = [n.s, n.s] | join %}{% endfor %}",
    "center": "{{ 'a' | center(1000000000) }}",
    "ljust": "{{ 'a'.ljust(1000000000) }}",
    "width": "{{ '{:>1000000000}'.format(1) }}",
    "percent": "{{ '%1000000000d' % 1 }}",
    "format filter": "{{ '%1000000000d' | format(1) }}",
    "replace": "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(9) %}{% set n.s = n.s | replace('a', n.s) %}{% endfor %}",
    "indent": "{{ ('\\n' * 3000000) | indent(900000) }}",
    "expandtabs": "{{ ('\\t' * 3000000).expandtabs(900000) }}",
    "method join": "{{ text.join([text * 9000] * 9000) }}",
    "star width": "{{ '%*d' % (1000000000, 1) }}",
    "loops": "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
    "output": "{% for a in range(90000) %}{% for b in range(90000) %}{{ text }}{% endfor %}{% endfor %}",
    "recursion": "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "syntax": "{% for %}",
}


@pytest.mark.parametrize("environment", [BoundedEnvironment, BoundedChatEnvironment])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_template_is_one_fault(monkeypatch, environment, text):
    monkeypatch.setattr(templates, "LONGEST_S", 0.3)
    with pytest.raises(InputError, match="the template"):
        rendered(lambda: environment().from_string(text).render(text="word " * 10), where="suite.yaml", what="the template")


def test_a_template_of_another_thread_ends_in_time_too(monkeypatch):
    monkeypatch.setattr(templates, "LONGEST_S", 0.3)
    found = []

    def work() -> None:
        try:
            rendered(lambda: BoundedEnvironment().from_string(HOSTILE["loops"]).render(), where="x", what="the template")
        except InputError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=20)
    assert [error.what for error in found] == ["the template took longer than 0.3 s"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ question.strip() }}\nAnswer:", "Why?\nAnswer:"),
        ("{% for c in choices %}{{ loop.index }}. {{ c }}\n{% endfor %}", "1. a\n2. b\n"),
        ("{{ choices | join(', ') }} {{ 'x' * 3 }} {{ 2 ** 3 }} {{ '%s!' % question.strip() }} {{ 1 + 2 }}", "a, b xxx 8 Why?! 3"),
        ("{{ choices | map('upper') | list }} {{ question | trim | replace('W', 'w') }}", "['A', 'B'] why?"),
        ("{{ question ~ choices[0] ~ 1 }}{% if 'b' in choices %}{{ choices.index('b') }}{% endif %}", " Why? a11"),
        ("{{ '{:,} of {}'.format(12345678, question.strip()) }} {{ ('q' * 9000).startswith('q' * 9000) }}", "12,345,678 of Why? True"),
        ("{% set ns = namespace(t='') %}{% for c in choices %}{% set ns.t = ns.t + c %}{% endfor %}{{ ns.t }}", "ab"),
    ],
)
def test_an_honest_template_says_the_same(text, expected):
    made = BoundedEnvironment(keep_trailing_newline=True).from_string(text).render(question=" Why? ", choices=["a", "b"])
    assert made == expected
