"""Laws of canonical JSON, digests and the Merkle root."""

from __future__ import annotations

import hashlib
import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgov import digest
from kdgov.errors import InputError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_canonical_json_round_trips_and_is_a_fixed_point(value):
    text = digest.canonical_json(value)
    assert digest.canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_key_order_does_not_change_the_digest(mapping):
    assert digest.digest_json(mapping) == digest.digest_json(dict(reversed(mapping.items())))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"a": [math.nan]}, {1, 2}])
def test_what_is_not_finite_json_cannot_be_sealed(value):
    with pytest.raises(InputError, match="canonical JSON"):
        digest.canonical_json(value)


def test_digest_is_plain_sha256_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest.digest_file(tmp_path / "a") == "sha256:" + hashlib.sha256(b"abc").hexdigest() == digest.digest_bytes(b"abc")


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.randoms())
def test_merkle_root_ignores_order_and_sees_every_leaf(leaves, rng):
    shuffled = rng.sample(leaves, len(leaves))
    assert digest.merkle_root(shuffled) == digest.merkle_root(leaves)
    assert digest.merkle_root([*leaves[:-1], leaves[-1] + "x"]) != digest.merkle_root(leaves)


def test_merkle_root_of_two_leaves_by_hand():
    """RFC 6962: leaf = H(00 ‖ data), node = H(01 ‖ left ‖ right), leaves sorted."""
    left, right = (hashlib.sha256(b"\x00" + x).digest() for x in (b"a", b"b"))
    assert digest.merkle_root(["b", "a"]) == "sha256:" + hashlib.sha256(b"\x01" + left + right).hexdigest()


def test_a_duplicated_leaf_changes_the_root():
    assert digest.merkle_root(["a", "b", "b"]) != digest.merkle_root(["a", "b"])


def test_tree_digest_sees_names_content_and_presence(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "f").write_text("1")
    seen = {digest.digest_tree(tmp_path)}
    (tmp_path / "x" / "f").write_text("2")
    seen.add(digest.digest_tree(tmp_path))
    (tmp_path / "x" / "f").rename(tmp_path / "x" / "g")
    seen.add(digest.digest_tree(tmp_path))
    (tmp_path / "h").write_text("")
    seen.add(digest.digest_tree(tmp_path))
    assert len(seen) == 4
    assert digest.digest_tree(tmp_path, exclude=["h"]) in seen


def test_a_failed_atomic_write_keeps_the_old_bytes_and_no_litter(tmp_path, monkeypatch):
    target = tmp_path / "a.json"
    target.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        digest.write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("text", "expected"), [("sha256:" + "0" * 64, True), ("sha256:" + "g" * 64, False), ("0" * 64, False), ("sha256:12", False)]
)
def test_only_full_lower_case_sha256_counts_as_a_digest(text, expected):
    assert digest.is_digest(text) is expected
