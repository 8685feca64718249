"""What the service asks of the registry: a JSON object on stdin, one on the last line of stdout.

    {"action": "promote", "model": "digits-detection", "version": "3", "share": null, "why": "...", "force": false,
     "who": "...", "root": "/project"}

gives `{"done": "one line"}`, or `{"refused": {...}}` with the four facts of an error.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from visionloop.core.errors import VisionloopError
from visionloop.core.settings import Settings, load_block


class _Asked(Settings):
    action: Literal["promote", "rollback", "canary", "shadow", "stop"]
    model: str
    version: str | None
    share: float | None
    why: str
    force: bool
    who: str
    root: str


def main() -> None:
    """Answer the one request on stdin."""
    asked = _Asked.model_validate_json(sys.stdin.read())
    answer: dict[str, Any]
    try:
        answer = {"done": perform(asked)}
    except VisionloopError as error:
        facts = {"what": error.what, "where": error.where, "expected": error.expected, "action": error.action}
        answer = {"refused": facts}
    print(json.dumps(answer))


def perform(asked: _Asked) -> str:
    """Do it, by the functions of the command line; one line that says what came of it.

    Raises:
        VisionloopError: refused.
    """
    from visionloop.artifact.deployment import describe
    from visionloop.core.places import params_path
    from visionloop.registry import deploy as deploying
    from visionloop.registry.champions import promote_by_hand, rollback
    from visionloop.registry.render import change_line
    from visionloop.registry.settings import RegistrySettings

    root = Path(asked.root)
    settings = load_block(RegistrySettings, params_path(root), "registry")
    model, version, now = asked.model, asked.version, datetime.now(UTC)
    if asked.action == "promote":
        return change_line(
            promote_by_hand(settings, root, model, version, who=asked.who, why=asked.why, now=now, force=asked.force)
        )
    if asked.action == "rollback":
        return change_line(rollback(settings, root, model, who=asked.who, why=asked.why, now=now))
    if asked.action == "stop":
        return describe(deploying.withdraw(settings, root, model))
    lineup = deploying.deploy(
        settings, root, model, version, role=asked.action, share=asked.share or 0.0, who=asked.who, why=asked.why,
        force=asked.force,
    )  # fmt: skip
    return describe(lineup)


if __name__ == "__main__":
    main()
