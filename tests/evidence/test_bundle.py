"""Bundles: whatever happens to a sealed file is named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgov.errors import InputError
from kdgov.evidence.bundle import MANIFEST, bundle_digest, compare_bundle, read_manifest, write_manifest


@pytest.fixture
def bundle(tmp_path):
    for path, text in {"decision.json": "{}", "teacher/items.parquet": "T", "student/items.parquet": "S"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    write_manifest(tmp_path)
    return tmp_path


def test_an_untouched_bundle_differs_in_nothing_and_keeps_its_name(bundle):
    assert not compare_bundle(bundle)
    assert write_manifest(bundle) == bundle_digest(bundle) == write_manifest(bundle)


def test_extra_missing_and_changed_files_are_each_named(bundle):
    (bundle / "added.txt").write_text("x")
    (bundle / "teacher/items.parquet").unlink()
    (bundle / "student/items.parquet").write_text("forged")
    difference = compare_bundle(bundle)
    assert difference.extra == ("added.txt",)
    assert difference.missing == ("teacher/items.parquet",)
    assert [c.path for c in difference.changed] == ["student/items.parquet"]
    assert "student/items.parquet was changed" in str(difference)


def test_swapping_two_files_is_seen(bundle):
    a, b = bundle / "teacher/items.parquet", bundle / "student/items.parquet"
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    assert len(compare_bundle(bundle).changed) == 2


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema":"kdgov.bundle/1","files":{"../x":"sha256:00"}}', '{"schema":"kdgov.bundle/2","files":{}}']
)
def test_a_malformed_manifest_is_refused(bundle, text):
    (bundle / MANIFEST).write_text(text)
    with pytest.raises(InputError):
        read_manifest(bundle)


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"manifest\.json"):
        compare_bundle(tmp_path)


def test_a_link_out_of_the_bundle_is_refused(bundle, tmp_path_factory):
    secret = tmp_path_factory.mktemp("outside") / "secret"
    secret.write_text("s")
    (bundle / "link").symlink_to(secret)
    with pytest.raises(InputError, match="leaves"):
        write_manifest(bundle)


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.data())
def test_any_changed_byte_is_detected(tmp_path_factory, content, data):
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "f").write_bytes(content)
    write_manifest(folder)
    position = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[position] ^= data.draw(st.integers(1, 255))
    (folder / "f").write_bytes(bytes(changed))
    assert [c.path for c in compare_bundle(folder).changed] == ["f"]
