"""The registry's layout and its alias document."""

import json

import pytest
from quoted import says

from pinrec_core import registry
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.storage import ABSENT, compare_and_swap


def test_an_empty_registry_has_nothing_live(tmp_path):
    aliases, version = registry.read_aliases(str(tmp_path))
    assert (aliases.revision, aliases.surfaces, version) == (0, {}, ABSENT)
    assert registry.live_release(str(tmp_path), "home") is None


def test_aliases_are_read_with_the_version_a_swap_needs(tmp_path):
    path = registry.aliases_path(str(tmp_path))
    first = registry.Aliases(revision=1, surfaces={"home": registry.Alias(live="r1")}, history=({"revision": 1},))
    compare_and_swap(path, first.model_dump_json().encode(), ABSENT)
    found, version = registry.read_aliases(str(tmp_path))
    assert found == first
    compare_and_swap(path, b'{"revision": 2, "surfaces": {"home": {"live": "r2", "previous": "r1"}}}', version)
    assert registry.live_release(str(tmp_path), "home") == "r2"
    assert registry.live_release(str(tmp_path), "search") is None


@pytest.mark.parametrize("content", ["", "[]", '{"revision": -1}', '{"surfaces": {"home": {"life": "r1"}}}'])
def test_a_damaged_document_is_refused_not_read_as_empty(tmp_path, content):
    (tmp_path / "aliases.json").write_text(content)
    with pytest.raises(IntegrityError) as raised:
        registry.live_release(str(tmp_path), "home")
    says("error: ...: not an alias document (... problems); restore it from the history of the registry's storage",
         raised.value)
    says("...aliases.json: not an alias document (... problems); restore it from the history of the registry's storage",
         raised.value)


@pytest.mark.parametrize("release_id", ["", "..", "a/b", "../../x", ".hidden", "a\\b"])
def test_ids_cannot_leave_the_registry(tmp_path, release_id):
    for place in (registry.release_path, registry.verification_path):
        with pytest.raises(ConfigError, match="plain name"):
            place(str(tmp_path), release_id)


def test_layout():
    assert registry.release_path("gs://b/reg/", "r1") == "gs://b/reg/releases/r1"
    assert registry.verification_path("/reg", "r1") == "/reg/verifications/r1.json"
    assert json.loads(registry.Aliases().model_dump_json()) == {
        "revision": 0, "surfaces": {}, "frozen": {}, "bad": {}, "collecting": [], "history": []}
