"""[serve]: the HTTP service over the live releases. None of it shapes a release; see docs/serving.md."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from pinrec_core.config.section import Positive, Section

_STORES = ("redis://", "rediss://", "unix://")


class ServeConfig(Section):
    """Where `pinrec serve` listens, what it refuses, and how it follows the registry."""

    registry: str = ""  # folder or URI; "" = work/<name>/registry, where `pinrec run` promotes to
    host: str = Field(default="127.0.0.1", min_length=1)  # "0.0.0.0" = every interface of the machine
    port: int = Field(default=8080, ge=0, le=65535)  # 0 = any free one, told in the log
    workers: Positive = 1  # processes, each with every live release in memory; one per core
    watch_s: float = Field(default=5.0, gt=0)  # seconds between looks at which release is live
    refused_retry_s: float = Field(default=60.0, gt=0)  # a release that did not load is tried again after this long
    prefix_mb: float = Field(default=256.0, ge=0)  # per worker and surface: what was read of histories, see
    #                                                docs/generation.md; 0 = every request reads its whole history
    max_batch: Positive = 16  # waiting requests that are computed together if they ask alike
    queue: Positive = 128  # requests of a worker that may wait; further ones get 429
    deadline_ms: Positive = 1000  # from arrival to answer, then 504; the header X-Deadline-Ms may ask for less
    max_n: Positive = 500  # items that one request may ask for
    max_body_bytes: Positive = 1_048_576  # a larger request gets 413
    max_history: Positive = 1000  # events of a history or of one POST /v1/events
    max_exclude: Positive = 1000  # item ids to exclude; each makes the search deeper
    store: str = ""  # Redis that keeps recent events, redis://host:6379/0; "" = the memory of the one worker
    store_timeout_ms: Positive = 50  # for connecting and for each command; then histories come from the release alone
    store_pause_s: float = Field(default=1.0, gt=0)  # a store that failed is not asked again for so long
    user_events: Positive = 100  # newest events kept per user
    event_days: Positive = 30  # a user's events are dropped so long after the last one was written
    drain_s: Positive = 30  # on SIGTERM: seconds that requests under way may still take
    access_log: bool = False  # one line per request
    demo: bool = False  # a page at /demo that shows users, their histories and what is retrieved, see docs/demo.md

    @model_validator(mode="after")
    def _store_is_redis(self) -> Self:
        if self.store and not self.store.startswith(_STORES):
            raise ValueError(f"store {self.store!r} is no Redis URL; begin it with {' or '.join(_STORES)}, or leave it "
                             "empty")
        return self
