"""What a rule of validate_data found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

EXAMPLES = 5  # offending rows shown per finding
ERROR, WARN = "error", "warn"


@dataclass(frozen=True)
class Finding:
    """One rule's outcome, as it stands in validation.json."""

    rule: str  # the name of its limit in [validate]; in brackets what it was applied to
    observed: float | None  # None if skipped
    limit: float
    passed: bool
    sentence: str
    rows: tuple[Any, ...] = ()  # up to EXAMPLES offending rows
    file: str = ""  # where the first of them is
    severity: str = ERROR  # what a failure does: ERROR stops the run, WARN is told

    @property
    def base(self) -> str:
        """The rule's name without what it was applied to."""
        return self.rule.partition("[")[0]

    def as_json(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self)

    def told(self) -> str:
        """One line for people."""
        file = f"; in {self.file}" if self.file else ""
        rows = f"; for example {json.dumps(self.rows, ensure_ascii=False)}" if self.rows else ""
        observed = "nothing" if self.observed is None else number(self.observed)
        return f"{self.rule}: observed {observed}, limit {number(self.limit)}: {self.sentence}{file}{rows}"


def at_least(rule: str, observed: int, limit: int, what: str) -> Finding:
    """A finding that holds from the limit up; `what` follows the number in its sentence."""
    return Finding(rule, observed, limit, observed >= limit, f"{observed} {what} (at least {limit})")


def share(rule: str, part: int, whole: int, limit: float, what: str, rows: tuple = (), file: str = "") -> Finding:
    """A finding that holds up to the limit. The share of an empty whole is 0: the rules on counts judge emptiness."""
    observed = part / whole if whole else 0.0
    good = observed <= limit
    return Finding(rule, observed, limit, good, f"{observed:.4f} ({part} of {whole}) {what} (at most {limit:g})",
                   () if good else rows[:EXAMPLES], "" if good else file)


def number(value: float) -> str:
    """Counts in full, other numbers to six digits."""
    return str(value) if isinstance(value, int) else f"{value:g}"
