"""JSON held against the models that Kubeflow Pipelines publishes for its API: what does not fit is refused."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import kfp_server_api
from kfp_server_api import models

_PLAIN = {"str": str, "bool": bool, "int": int, "object": object}


class Refused(Exception):
    """An answer of failure, as gRPC gateways send it."""

    def __init__(self, status: int, code: int, message: str):
        super().__init__(message)
        self.status, self.code = status, code


def check(model: type, value: Any, where: str) -> None:
    """Raises Refused where a value is not of a published model."""
    _demand(isinstance(value, dict), f"{where}: not an object")
    known = {json_name: name for name, json_name in model.attribute_map.items()}
    for name, inner in value.items():
        _demand(name in known, f'(line 1): unknown field "{name}" in {where}')
        _check_type(model.openapi_types[known[name]], inner, f"{where}.{name}")


def _check_type(kind: str, value: Any, where: str) -> None:
    if nested := re.fullmatch(r"(list\[|dict\(str, )(.*)[\])]", kind):
        container = list if nested[1] == "list[" else dict
        _demand(isinstance(value, container), f"{where}: not a {container.__name__}")
        for one in value if container is list else value.values():
            _check_type(nested[2], one, where)
    elif kind == "datetime":
        datetime.fromisoformat(value)
    elif kind in _PLAIN:
        _demand(isinstance(value, _PLAIN[kind]), f"{where}: invalid value {value!r}")
    elif allowed := getattr(getattr(models, kind), "allowable_values", None):
        _demand(value in allowed, f"{where}: invalid value {value!r} for enum")
    else:
        check(getattr(kfp_server_api, kind), value, where)


def _demand(good: bool, message: str) -> None:
    if not good:
        raise Refused(400, 3, f"proto: {message}")
