"""A client that reads the OpenAPI page and tries what it allows, and some that it does not, breaks nothing."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from pinrec_core.serving.app import build_app
from pinrec_core.serving.service import Service

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
FIXED = settings(max_examples=50, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate],
                 suppress_health_check=list(HealthCheck))
POSTS, GETS = ("/v1/retrieve", "/v1/events"), ("/healthz", "/readyz", "/metrics")
KNOWN = {"surface": ("home", "search"), "action": ("click", "save", "hide"), "item_id": ("i1", "i7", "i119"),
         "user_id": ("u001", "u007")}  # what a description cannot tell


@pytest.fixture(scope="module")
def page(standing, tmp_path_factory) -> BaseSchema:
    """Of a service in this process."""
    config = standing.app.state.service.config.model_copy(update={"max_body_bytes": 10**6})
    service = Service(config, tmp_path_factory.mktemp("scratch"))
    return schemathesis.openapi.from_asgi("/openapi.json", build_app(service))


@pytest.mark.parametrize("path", GETS)
def test_state_is_told_as_described(page, path):
    answered(page[path]["GET"].Case())


@pytest.mark.parametrize("path", POSTS)
def test_what_is_described_is_answered_as_described(page, path):
    statuses = set()

    @FIXED
    @given(page[path]["POST"].as_strategy(GenerationMode.POSITIVE))
    def described(case: Case) -> None:
        statuses.add(answered(case))

    described()
    assert statuses <= {200, 422} and 422 in statuses, "names are invented, so most are unknown"


@pytest.mark.parametrize("path", POSTS)
def test_with_names_that_are_known_it_is_mostly_answered(page, path):
    statuses = []

    @FIXED
    @given(page[path]["POST"].as_strategy(GenerationMode.POSITIVE))
    def known(case: Case) -> None:
        case.body = aimed(case.body)
        case.headers.pop("X-Deadline-Ms", None)  # one of a millisecond is rightly missed
        statuses.append(answered(case))

    known()
    assert statuses.count(200) >= 5


@pytest.mark.parametrize("path", POSTS)
def test_what_is_not_as_described_is_turned_down(page, path):

    @FIXED
    @given(page[path]["POST"].as_strategy(GenerationMode.NEGATIVE))
    def wrong(case: Case) -> None:
        answered(case, negative_data_rejection)

    wrong()


def answered(case: Case, *more) -> int:
    """The status of the answer, which conforms to its description."""
    response = case.call()
    case.validate_response(response, checks=[*CHECKS, *more])
    return response.status_code


def aimed(value: Any, name: str = "") -> Any:
    """The same with known names in the place of most invented ones, always the same for the same."""
    if isinstance(value, dict) and name == "outcomes":
        return {("click", "save", key)[len(key) % 3]: share for key, share in value.items()}
    if isinstance(value, dict):
        value = {key: aimed(each, key) for key, each in value.items()}
        if "surface" in value:  # an event or a request: of two fields exactly one is given, which is not described
            pair = ("action", "actions") if "timestamp_ms" in value else ("user_id", "history")
            given = [key for key in pair if value.get(key) is not None] or [pair[0]]
            value = {pair[0]: KNOWN[pair[0]][0]} | value | dict.fromkeys(set(pair) - {given[0]})
        return value
    if isinstance(value, list):
        return [aimed(each, {"actions": "action", "exclude": "item_id"}.get(name, name)) for each in value]
    if isinstance(value, str) and name in KNOWN:
        return (*KNOWN[name], value)[len(value) % (len(KNOWN[name]) + 1)]
    return value
