"""Examples for the OpenAPI page."""

from __future__ import annotations

_RELEASE = "3f" * 32
_ENGAGED = {"item_id": "pin-17", "action": "click", "surface": "home", "timestamp_ms": 1_767_225_600_000}
_FOUND = {"item_id": "pin-42", "score": 0.713, "outcome": "save", "step": 0}


def _body(**examples: dict) -> dict:
    return {"requestBody": {"content": {"application/json": {
        "examples": {name: {"value": value} for name, value in examples.items()}}}}}


def _answers(status: int, description: str, **examples: dict) -> dict[int, dict]:
    return {status: {"description": description, "content": {"application/json": {
        "examples": {name: {"value": value} for name, value in examples.items()}}}}}


RETRIEVE = _body(
    known_user={"surface": "home", "user_id": "42", "n": 20},
    own_history={"surface": "home", "history": [_ENGAGED], "outcomes": {"click": 0.5, "save": 0.5}},
    closeup={"surface": "related", "user_id": "42", "context": {"item_id": "pin-17"}, "exclude_seen": True,
             "explain": True}) | {
    "parameters": [{"name": "X-Deadline-Ms", "in": "header", "required": False, "schema": {"type": "integer",
                                                                                         "minimum": 1},
                    "description": "Milliseconds in which the answer is wanted, if fewer than the service allows."}]}

ANSWER = _answers(
    200, "Items, best first.",
    plain={"release_id": _RELEASE, "surface": "home", "history_length": 1, "items": [_FOUND]},
    explained={"release_id": _RELEASE, "surface": "home", "history_length": 1,
               "items": [_FOUND | {"offset": 0, "title": "A blue chair"}],
               "explain": {"unknown": {"history": [], "exclude": []}, "budgets": {"click": 0.5, "save": 0.5},
                           "batch": 1, "queued_ms": 0.05, "computed_ms": 2.9}})

EVENTS = _body(click={"user_id": "42", "events": [_ENGAGED]})

HEALTH = _answers(200, "The process works.", healthy={"healthy": True})

_STATE = {"ready": True, "surfaces": {"home": _RELEASE}, "refused": {}, "store": {"kind": "memory", "works": True}}
READY = _answers(200, "Requests can be answered.", ready=_STATE) | _answers(
    503, "They cannot.", waiting=_STATE | {"ready": False, "surfaces": {}, "why": "nothing is live in the registry"})

METRICS = {200: {"description": "Counters.", "content": {"text/plain": {
    "example": 'pinrec_requests_total{route="/v1/retrieve",status="200",surface="home"} 17.0'}}}}
