"""A finding: one defect of a source, and what to do about it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from visionloop.core import files

Severity = Literal["stop", "error", "warning"]
"""`stop`: nothing can be learnt from the source as it is; `error`: the thing is kept out; `warning`: it is kept."""

_ORDER = {"stop": 0, "error": 1, "warning": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One defect, named precisely enough to mend it.

    Attributes:
        rule: Stable name such as `degenerate_box`.
        severity: What follows from it.
        file: File of the source (member name), or the source itself.
        record: Which part of the file, such as `object 3 (RBC)`; empty for all of it.
        found: What was there.
        expected: What would have been right.
        action: What was done about it, or what the user should do.
    """

    rule: str
    severity: Severity
    file: str
    record: str = ""
    found: str
    expected: str
    action: str

    def __str__(self) -> str:
        place = f"{self.file}, {self.record}" if self.record else self.file
        return f"{self.rule}: {place}: {self.found}"


def sorted_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Gravest first, then by rule, file and record."""
    return sorted(findings, key=lambda f: (_ORDER[f.severity], f.rule, f.file, f.record))


def count_rules(findings: Sequence[Finding]) -> dict[str, int]:
    """Findings per rule, in order of name."""
    return dict(sorted(Counter(finding.rule for finding in findings).items()))


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """Write `findings.csv`: a header, then one line a finding."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(field.name for field in fields(Finding))
    writer.writerows(astuple(finding) for finding in findings)
    files.write_text(path, buffer.getvalue())


def read_findings(path: Path) -> list[Finding]:
    """What `write_findings` wrote; empty when the file is absent."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [Finding(**row) for row in csv.DictReader(file)]  # type: ignore[arg-type]
