"""Hashes of words and runs: equal exactly where words are, whatever stands around them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgov.checks.scan.word_hashes import STEP, grams, mixed, normalised, words_of

WORDS = st.lists(st.text("abcdefgh0123", min_size=1, max_size=9), min_size=1, max_size=40)


def hashes(text: str) -> list[int]:
    return words_of(normalised(text)).hashes.tolist()


@given(WORDS, st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_a_word_has_one_hash_wherever_it_stands(words, shift):
    plain = hashes(" ".join(words))
    moved = hashes("~" * shift + " , ".join(words) + "!")
    assert plain == moved
    assert len(set(plain)) == len(set(words))


@given(st.lists(st.integers(0, 2**64 - 1), min_size=0, max_size=30), st.integers(1, 16))
@settings(max_examples=60, deadline=None)
@pytest.mark.slow
def test_doubling_gives_the_sum_over_the_run(values, n):
    array = np.array(values, dtype=np.uint64)
    slow = [sum(v * pow(STEP, j, 1 << 64) for j, v in enumerate(values[i : i + n])) % (1 << 64) for i in range(len(values) - n + 1)]
    assert grams(array, n).tolist() == mixed(np.array(slow, dtype=np.uint64)).tolist()


def test_case_marks_and_forms_do_not_matter():
    assert hashes("“Don’t stop—now…”") == hashes('"don\'t STOP - now..."')
    assert hashes("ﬁnal Ｃａｆé") == hashes("final cafe\u0301")


def test_cjk_characters_are_words_of_their_own():
    assert len(hashes("今天天气")) == 4
    assert hashes("天 气") == hashes("天气")


def test_whole_and_piecewise_folding_agree():
    text = "naïve “quotes” – Straße"
    assert normalised(text + " x" * 200).split()[:3] == normalised(text).split()


def test_no_words_no_hashes():
    assert hashes("") == []
    assert hashes(" .,;") == []
