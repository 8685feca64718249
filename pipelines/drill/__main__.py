"""Let a model decay, and watch the loop close: `visionloop drill`.

Exit status: 0 when everything held, 1 when something did not, or could not be done.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pipelines.drill.play import Plan, play
from pipelines.drill.report import write_report
from pipelines.drill.scans import Scans
from pipelines.drill.scenes import Scenes
from pipelines.drill.subject import Subject
from pipelines.stage import guarded

REPORT = Path("reports/drill.html")
SUBJECTS: dict[str, type[Subject]] = {subject.task: subject for subject in (Scans, Scenes)}
ALL = "all"


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="visionloop drill",
        description="Start the real service on the embedded digits, let its input change, and check that the change is "
        "noticed, told, learned from and cured, without a failed request; that a bad model is refused; that a rollback "
        "works. In a folder of its own: nothing of the project is touched.",
        epilog="exit status: 0 everything held, 1 something did not",
    )
    parser.add_argument(
        "--task", choices=[*SUBJECTS, ALL], default=ALL, help="whose model decays; by default of both tasks, together"
    )
    parser.add_argument("--out", type=Path, default=REPORT, help=f"the report ({REPORT} by default)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this empty folder, and keep it")
    arguments = parser.parse_args(argv)
    held: list[bool] = []

    def work() -> None:
        console = Console()
        with tempfile.TemporaryDirectory(prefix="visionloop-drill-") as temporary:
            root = arguments.keep or Path(temporary)
            root.mkdir(parents=True, exist_ok=True)
            names = SUBJECTS if arguments.task == ALL else [arguments.task]
            drill = play(root, Plan(subjects=tuple(SUBJECTS[name]() for name in names)), console)
        write_report(drill, arguments.out)
        console.print(drill.timeline.table())
        console.print(f"report: {arguments.out}")
        held.append(drill.timeline.held)

    return guarded(work) or (0 if all(held) else 1)


if __name__ == "__main__":
    sys.exit(main())
