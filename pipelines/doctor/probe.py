"""One look at storage or at a Redis, in a process of its own, which can be ended if a client library hangs.

`python -m pipelines.doctor.probe` reads {"do": "list" | "write" | "ping", "uri": ...} from standard input, where no
other user of the machine sees credentials, and prints what it found as JSON; an error ends it as usual.
"""

from __future__ import annotations

import json
import sys
import uuid

from pinrec_core import storage
from pinrec_core.errors import IntegrityError


def main() -> None:
    """Do what standard input asks."""
    request = json.load(sys.stdin)
    found = {"list": storage.list_names, "write": _write, "ping": _ping}[request["do"]](request["uri"])
    sys.stdout.write(json.dumps(found))


def _write(uri: str) -> bool:
    """Write, read and remove a small object. Raises IntegrityError if it reads back otherwise."""
    mark = storage.join(uri, f".doctor-{uuid.uuid4().hex}")
    storage.write_bytes(mark, b"pinrec doctor")
    try:
        if storage.read_bytes(mark) != b"pinrec doctor":
            raise IntegrityError(f"{mark}: reads back otherwise than it was written")
    finally:
        storage.remove_file(mark)
    return True


def _ping(serve: str) -> bool:
    """Ask the store of a [serve] section for a sign of life, within the section's own time limits."""
    import asyncio

    from pinrec_core.config import ServeConfig
    from pinrec_core.serving.events import RedisStore

    async def ping() -> None:
        store = RedisStore(ServeConfig.parse(serve))
        try:
            await store.ping()
        finally:
            await store.close()

    asyncio.run(ping())
    return True


if __name__ == "__main__":
    main()
