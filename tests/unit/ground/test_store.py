"""Large outputs by reference: what is left, what goes over the wire, and what is never read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_storage import Wire, counted_bucket

from pinrec_core import storage
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, read_manifest, write_manifest
from pinrec_core.store import Reference, address, kept, manifest_of, opened

PART, STATE = b"0123456789" * 50_000, b"x" * 2_000_000
SMALL = 20_000  # bytes on the wire of a step that reads or writes no data


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Wire]]:
    with counted_bucket() as found:
        yield found


@pytest.fixture
def bucket(server, request) -> str:
    return f"{server[0]}/{request.node.name.translate(str.maketrans('[]', '__'))}"


@pytest.fixture
def wire(server) -> Wire:
    server[1].reset()
    return server[1]


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("bucket")


def write(folder: Path, part: bytes = PART, state: bytes = b"") -> Manifest:
    """A dataset of one part, with something beside it that has a manifest of its own."""
    storage.write_bytes(str(folder / "sequences/part-00000.parquet"), part)
    if state:
        storage.write_bytes(str(folder / "state/chunk.arrow"), state)
        write_manifest(folder / "state", kind="aggregation_state")
    return write_manifest(folder, kind="dataset", counts={"users": 3}, apart="state")


def keep(artifact: Path, store: str, **what: bytes) -> Manifest:
    with kept(artifact, store) as output:
        return write(output, **what)


def overwrite(uri: str, data: bytes) -> None:
    storage.write_bytes(storage.join(uri, "sequences/part-00000.parquet"), data)


def test_without_a_store_the_artifact_holds_the_data(tmp_path):
    keep(tmp_path / "artifact", "")
    with opened(tmp_path / "artifact", "dataset") as folder:
        assert folder == tmp_path / "artifact" and read_manifest(folder, "dataset").counts == {"users": 3}


def test_with_one_it_says_where_they_are_and_what(tmp_path, store):
    (tmp_path / "artifact").mkdir()  # an empty folder made by the orchestrator is taken over
    manifest = keep(tmp_path / "artifact", store)
    assert (tmp_path / "artifact").stat().st_size < 1000
    reference = Reference.model_validate_json((tmp_path / "artifact").read_bytes())
    assert reference.uri == address(tmp_path / "artifact") == f"{store}/datasets/{manifest.fingerprint}"
    assert (reference.kind, reference.fingerprint, reference.bytes, reference.counts) == (
        "dataset", manifest.fingerprint, len(PART), {"users": 3})
    assert manifest_of(tmp_path / "artifact", "dataset") == manifest
    for place in (tmp_path / "artifact", reference.uri):
        with opened(place, "dataset") as folder:
            assert read_manifest(folder, "dataset") == manifest
            assert (folder / "sequences/part-00000.parquet").read_bytes() == PART


def test_a_folder_is_used_where_it_is(tmp_path):
    keep(tmp_path / "artifact", str(tmp_path / "store"))
    with opened(tmp_path / "artifact", "dataset") as folder:
        assert str(folder) == address(tmp_path / "artifact")
    assert {path.name for path in (tmp_path / "store").iterdir()} == {"datasets"}


def test_what_is_fetched_is_what_the_manifest_names_once_and_is_gone_afterwards(tmp_path, bucket, wire):
    keep(tmp_path / "artifact", bucket, state=STATE)
    assert len(PART) + len(STATE) < wire.sent < len(PART) + len(STATE) + SMALL
    wire.reset()
    with opened(tmp_path / "artifact", "dataset") as folder:
        assert not (folder / "state").exists()
    assert len(PART) < wire.received < len(PART) + SMALL
    assert not folder.exists()


def test_who_asks_for_the_manifest_fetches_no_data(tmp_path, bucket, wire):
    keep(tmp_path / "artifact", bucket)
    wire.reset()
    assert manifest_of(tmp_path / "artifact", "dataset").counts == {"users": 3}
    assert wire.received < SMALL


def test_the_same_content_is_uploaded_once(tmp_path, bucket, wire):
    keep(tmp_path / "first", bucket)
    wire.reset()
    keep(tmp_path / "second", bucket)
    assert wire.sent < SMALL
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_what_has_a_manifest_of_its_own_is_added_to_the_same_content(tmp_path, store):
    keep(tmp_path / "first", store)
    keep(tmp_path / "second", store, state=STATE)
    assert address(tmp_path / "first") == address(tmp_path / "second")
    with storage.local_tree(f"{address(tmp_path / 'first')}/state") as state:
        assert read_manifest(state, "aggregation_state").files["chunk.arrow"].size == len(STATE)


def test_a_step_that_fails_leaves_nothing(tmp_path, store):
    with pytest.raises(ZeroDivisionError), kept(tmp_path / "artifact", store) as output:
        write(output)
        1 / 0  # noqa: B018
    assert not (tmp_path / "artifact").exists() and storage.tree_files(store) == {}


def test_a_torn_upload_is_not_read_and_is_written_again(tmp_path, store):
    keep(tmp_path / "artifact", store)
    storage.remove_file(f"{address(tmp_path / 'artifact')}/manifest.json")
    for read in (manifest_of, lambda *which: opened(*which).__enter__()):
        with pytest.raises(IntegrityError, match="no longer in the store, or never whole; run the step .* again"):
            read(tmp_path / "artifact", "dataset")
    keep(tmp_path / "artifact", store)
    with opened(tmp_path / "artifact", "dataset") as folder:
        read_manifest(folder, "dataset")


def test_what_lost_a_file_is_not_read_and_is_written_again(tmp_path, store):
    keep(tmp_path / "artifact", store)
    storage.remove_file(f"{address(tmp_path / 'artifact')}/sequences/part-00000.parquet")
    with pytest.raises(IntegrityError, match="part-00000.parquet"):
        manifest_of(tmp_path / "artifact", "dataset")
    keep(tmp_path / "artifact", store)
    assert manifest_of(tmp_path / "artifact", "dataset")


def test_a_flipped_byte_is_refused(tmp_path, store):
    keep(tmp_path / "artifact", store)
    overwrite(address(tmp_path / "artifact"), b"1" + PART[1:])
    with pytest.raises(IntegrityError, match=r"part-00000.parquet: altered"), \
            opened(tmp_path / "artifact", "dataset") as folder:
        read_manifest(folder, "dataset")  # in a folder whoever opens the data looks at every byte


def test_other_content_at_the_same_address_is_refused(tmp_path, store):
    keep(tmp_path / "artifact", store)
    there = address(tmp_path / "artifact")
    write(tmp_path / "other", part=b"other")
    storage.remove_tree(there)
    storage.upload_tree(tmp_path / "other", there)
    for read in (manifest_of, lambda *which: opened(*which).__enter__()):
        with pytest.raises(IntegrityError, match="has fingerprint .* refers to"):
            read(tmp_path / "artifact", "dataset")


@pytest.mark.parametrize("content", ["", "{}", "no JSON", json.dumps({"format": "pinrec.reference/2"})])
def test_a_file_that_is_no_reference_is_refused(tmp_path, content):
    (tmp_path / "artifact").write_text(content)
    with pytest.raises(IntegrityError, match="refers to no data"):
        address(tmp_path / "artifact")


def test_a_name_that_leads_out_of_the_folder_is_not_fetched(tmp_path, bucket):
    manifest = write(tmp_path / "output")
    files = {"../../outside": manifest.files["sequences/part-00000.parquet"]}
    bad = manifest.model_copy(update={"files": files})
    with pytest.raises(IntegrityError, match="points outside"):
        storage.download(bucket, list(bad.files), tmp_path / "target")
    assert not (tmp_path.parent / "outside").exists()
