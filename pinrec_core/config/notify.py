"""[notify]: who hears how a run ended, beside its log and its folder, which always do."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from pinrec_core.config.section import Section


class NotifyConfig(Section):
    """The webhook that the message of a run is POSTed to; docs/runs.md says what it receives."""

    webhook: str = ""  # URL; "" = none
    secret_env: str = Field(default="PINREC_WEBHOOK_SECRET", min_length=1)  # environment variable of the exit step with
    # the secret that signs; without it nothing is sent
    time_limit_s: float = Field(default=30.0, gt=0)  # seconds for all attempts together

    @field_validator("webhook")
    @classmethod
    def _is_a_web_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and not (parts.scheme in ("https", "http") and parts.hostname):
            raise ValueError(f"{url!r} is no web address; write https://... or leave it empty")
        return url

    def canonical_json(self) -> str:
        """As JSON without what is default."""
        return self.model_dump_json(exclude_defaults=True)
