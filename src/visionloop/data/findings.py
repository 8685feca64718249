"""A defect of a source: what rule, how bad, where, what was found, what was expected, what was done."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One defect.

    Attributes:
        rule: Stable name such as `degenerate_box`.
        severity: `error` for what was left out, `warning` for what was mended or is only worth knowing.
        file: File or archive member.
        record: Record in it, such as `object 3 (RBC)`; empty for the whole file.
        found: What is there.
        expected: What would be right.
        action: What was done, or what the user should do.
    """

    rule: str
    severity: Literal["error", "warning"]
    file: str
    record: str = ""
    found: str
    expected: str
    action: str

    def __str__(self) -> str:
        place = f"{self.file}, {self.record}" if self.record else self.file
        return f"{self.rule}: {place}: {self.found}; expected {self.expected}"


def findings_csv(findings: Sequence[Finding]) -> str:
    """All findings as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Finding)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(finding) for finding in findings)
    return buffer.getvalue()
