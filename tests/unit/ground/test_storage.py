"""Local storage: atomic files and directories, compare-and-swap under contention."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pinrec_core import objects, storage
from pinrec_core.errors import ConflictError, IntegrityError


def test_a_failed_block_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="boom"), storage.staged_directory(tmp_path / "out") as aside:
        (aside / "half").write_text("x")
        raise ValueError("boom")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_block_appears_whole_and_only_once(tmp_path):
    (tmp_path / "out").mkdir()  # an empty directory made by the orchestrator is taken over
    with storage.staged_directory(tmp_path / "out") as aside:
        (aside / "a").write_text("x")
        assert not (tmp_path / "out" / "a").exists()
    assert (tmp_path / "out" / "a").read_text() == "x"
    with pytest.raises(IntegrityError, match="already exists"), storage.staged_directory(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "a").read_text() == "x"


def test_swap_needs_the_version_that_was_read(tmp_path):
    uri = str(tmp_path / "doc")
    assert storage.read_versioned(uri) == (None, storage.ABSENT)
    storage.compare_and_swap(uri, b"1", storage.ABSENT)
    version = storage.read_versioned(uri).version
    storage.compare_and_swap(uri, b"2", version)
    with pytest.raises(ConflictError, match="changed since it was read"):
        storage.compare_and_swap(uri, b"3", version)
    assert storage.read_bytes(uri) == b"2"


def test_a_counter_under_contention_loses_nothing(tmp_path):
    uri = str(tmp_path / "counter")
    storage.write_bytes(uri, b"0")

    def count() -> None:
        done = 0
        while done < 20:
            data, version = storage.read_versioned(uri)
            try:
                storage.compare_and_swap(uri, str(int(data) + 1).encode(), version)
                done += 1
            except ConflictError:
                continue

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.read_bytes(uri) == b"80"


def test_missing_files_are_named(tmp_path):
    with pytest.raises(IntegrityError, match="no such file"):
        storage.read_bytes(str(tmp_path / "absent"))
    assert storage.list_names(str(tmp_path / "absent")) == []


def test_a_tree_is_listed_and_removed_whole(tmp_path):
    for name in ("manifest.json", "a/b.txt", ".hidden"):
        storage.write_bytes(str(tmp_path / "tree" / name), b"12")
    found = storage.tree_files(str(tmp_path / "tree"))
    assert set(found) == {"manifest.json", "a/b.txt", ".hidden"} and {one.size for one in found.values()} == {2}
    storage.remove_tree(str(tmp_path / "tree"))
    assert list(tmp_path.iterdir()) == [] and storage.tree_files(str(tmp_path / "tree")) == {}
    storage.remove_tree(str(tmp_path / "tree"))
    storage.remove_file(str(tmp_path / "tree"))


def test_a_swap_clears_what_a_killed_one_has_left(tmp_path):
    path = tmp_path / "aliases.json"
    (tmp_path / ".aliases.json.abc").write_text("cut sho")
    storage.compare_and_swap(str(path), b"{}", storage.ABSENT)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["aliases.json", "aliases.json.lock"]


@contextmanager
def bucket_of(names: list[str]) -> Iterator[str]:
    """Where a server lists a bucket of objects whose names the local GCS servers would tidy up; GCS does not."""
    listing = {"items": [{"name": name, "bucket": "b", "size": "2", "generation": "1"} for name in names]}

    class Listing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(listing).encode())

        def log_message(self, *arguments) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Listing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", ["releases/r1/../../aliases.json", "releases/r1/model/../../../x"])
def test_an_object_whose_name_leads_out_of_its_tree_is_refused(monkeypatch, name):
    objects.client.cache_clear()
    with bucket_of([name]) as endpoint:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", endpoint)
        tree = storage.local_tree("gs://b/releases/r1")
        with pytest.raises(IntegrityError, match=f"gs://b/{name}: points outside its tree"), tree:
            pass
    objects.client.cache_clear()
