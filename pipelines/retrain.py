"""From feedback to a promoted model: the pipeline's own stages between labels and promotion, as one job.

Exit status: 0 when it ran, or there was nothing to do; 1 when it failed (the same command continues it); 2 for a wrong
use; 75 when another retraining is at work.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from pipelines.loop import Loop
from pipelines.stage import guarded
from visionloop.config import Config, load_config
from visionloop.core.errors import BusyError, ConfigError, Interrupted, VisionloopError, near_matches
from visionloop.monitoring.alerts.sources.reports import RetrainingFile
from visionloop.retraining.job import BUSY_STATUS, exclusive
from visionloop.retraining.report import ending, not_started, status_text, tell_alerts
from visionloop.retraining.state import RunState

_WOULD = {"waiting": "stays on trial", "promoted": "would be promoted", "ended": "would be ended"}


def retrain(loop: Loop, *, force: bool, restart: bool, who: str) -> RunState | None:
    """Continue or start one task's retraining, if something asks for it. Hold `exclusive`.

    Returns:
        The run, None where there was nothing to do.
    """
    job = loop.job()
    if restart:
        job.abandon("--restart")
    state = job.unfinished()
    if state is not None:
        print(f"{loop.task}: continuing {state.run}", flush=True)
        return job.work(state)
    decision, _ = loop.decide(datetime.now(UTC), force=force)
    print(f"{loop.task}: {'retraining' if decision.runs else 'no retraining'}: {decision.line}", flush=True)
    if not decision.runs:
        return None
    return job.work(job.start(loop.task, decision.reasons, who, forced=force))


def select(config: Config, task: str) -> Config:
    """The configuration with another task selected.

    Raises:
        ConfigError: there is no such task.
    """
    if task not in config.blocks:
        raise ConfigError(
            f"there is no task {task!r}",
            where="option --task",
            expected=near_matches(task, config.blocks),
            action="correct the name",
        )
    return replace(config, general=config.general.model_copy(update={"task": task}))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module's text for the exit status."""
    arguments = _parser().parse_args(argv)
    ended = 0

    def work() -> None:
        nonlocal ended
        config = load_config()
        loops = [Loop.of(select(config, name)) for name in arguments.task or config.general.tasks]
        if arguments.status:
            _show_status(loops, as_json=arguments.json)
        elif arguments.dry_run:
            _dry_run(loops, force=arguments.force, as_json=arguments.json)
        else:
            try:
                with exclusive(loops[0].folder):
                    ended = 0 if _retrain_all(loops, arguments) else 1
            except BusyError as error:
                print(f"not now: {error}", file=sys.stderr)
                ended = BUSY_STATUS

    return guarded(work) or ended


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="visionloop retrain",
        description="Make feedback into labels, labels into a dataset version, that into a model, and let the gate "
        "decide. Starts only when something asks for it (docs/retraining.md); continues what was interrupted.",
        epilog="exit status: 0 done or nothing to do, 1 failed (the same command continues), 2 wrong use, "
        f"{BUSY_STATUS} another retraining is at work",
    )
    parser.add_argument("--task", action="append", help="only this task; may be repeated")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and why; write nothing")
    parser.add_argument("--status", action="store_true", help="show the latest run, step by step")
    parser.add_argument(
        "--force", action="store_true", help="start although nothing asks for it, or cooldown or budget forbid"
    )
    parser.add_argument("--restart", action="store_true", help="give an unfinished run up first")
    parser.add_argument("--json", action="store_true", help="JSON, with --status and --dry-run")
    return parser


def _retrain_all(loops: Sequence[Loop], arguments: argparse.Namespace) -> bool:
    """Every task in turn; one that fails does not keep the others from theirs. Returns whether all went well."""
    reports: list[RetrainingFile] = []
    try:
        for loop in loops:
            reports += _retrain_one(loop, arguments)
    finally:
        first = loops[0]
        tell_alerts(first.state / first.config.general.monitoring.alerts.retraining_file, reports)
    return all(report.status != "failed" for report in reports)


def _retrain_one(loop: Loop, arguments: argparse.Namespace) -> list[RetrainingFile]:
    who = getpass.getuser()
    # A canary that is promoted now is the champion that the retraining starts from.
    reports = _settle_canary(loop, who)
    try:
        state = retrain(loop, force=arguments.force, restart=arguments.restart, who=who)
    except Interrupted:
        raise
    except VisionloopError as error:
        print(f"{loop.task}: error: {error}", file=sys.stderr)
        return [*reports, not_started(loop.task, error, datetime.now(UTC))]
    if state is None:
        return reports
    print(f"{loop.task}: {state.outcome if state.status == 'done' else 'failed; call again to continue'}", flush=True)
    return [*reports, ending(state, loop.journal.run_folder(state.run), datetime.now(UTC))]


def _settle_canary(loop: Loop, who: str) -> list[RetrainingFile]:
    """Look at the task's canary; what goes wrong here does not keep the task from its retraining."""
    try:
        trial = loop.settle_canary(datetime.now(UTC), who)
    except VisionloopError as error:
        print(f"{loop.task}: canary: error: {error}", file=sys.stderr)
        return [not_started(loop.task, error, datetime.now(UTC), step="canary")]
    if trial is not None:
        print(f"{loop.task}: {trial.line}", flush=True)
    return []


def _show_status(loops: Sequence[Loop], *, as_json: bool) -> None:
    if not as_json:
        print("\n".join(status_text(loop.journal, loop.task) for loop in loops))
        return
    record: dict[str, Any] = {}
    for loop in loops:
        state = loop.journal.read()
        record[loop.task] = {
            "run": None if state is None else state.model_dump(mode="json"),
            "history": [item.model_dump(mode="json") for item in loop.journal.history()],
        }
    print(json.dumps(record, indent=2, ensure_ascii=False))


def _dry_run(loops: Sequence[Loop], *, force: bool, as_json: bool) -> None:
    record: dict[str, Any] = {}
    for loop in loops:
        state = loop.journal.read()
        unfinished = state is not None and state.status in ("running", "failed")
        decision, collected = loop.decide(datetime.now(UTC), force=force)
        trial = loop.settle_canary(datetime.now(UTC), getpass.getuser(), act=False)
        record[loop.task] = {
            "canary": None if trial is None else asdict(trial),
            "continues": state.run if unfinished and state is not None else None,
            "runs": decision.runs,
            "why": decision.line,
            "signals": {signal.name: {"fired": signal.fired, "text": signal.text} for signal in decision.signals},
            "labels": collected.model_dump(mode="json", exclude={"images"}),
        }
        if as_json:
            continue
        if unfinished and state is not None:
            print(f"{loop.task}: would continue {state.run}")
        print(f"{loop.task}: {'would retrain' if decision.runs else 'would not retrain'}: {decision.line}")
        for signal in decision.signals:
            print(f"  {signal.name:<9} {'asks' if signal.fired else '-':<5} {signal.text}")
        print(f"  {'feedback':<9} {collected.summary()}")
        if trial is not None:
            print(f"  {'canary':<9} version {trial.version} {_WOULD[trial.outcome]}: {trial.text}")
        for key, text in collected.suspicious.items():
            print(f"  {'held':<9} key {key or '(none)'}: {text}")
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
    os._exit(1)
