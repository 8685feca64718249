"""The models that serve, and the watch on the deployment pointer that swaps them without dropping a request."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from visionloop.artifact.deployment import Deployment, Role, Variant, change, stop_canary
from visionloop.artifact.predictor import Predictor
from visionloop.core.errors import BundleError, VisionloopError
from visionloop.serving.live import LiveModel
from visionloop.serving.observing import Observer
from visionloop.serving.pixels import PixelBudget
from visionloop.serving.refusals import bad_option, nothing_serves
from visionloop.serving.settings import ServingSettings
from visionloop.task import load_task

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveLineup:
    """What serves one task; replaced as a whole."""

    champion: LiveModel
    canary: LiveModel | None = None
    share: float = 0.0
    shadow: LiveModel | None = None

    def choose(self, session: str) -> LiveModel:
        """The model that answers a session: always the same one while the lineup stands."""
        if self.canary is None or self.share <= 0:
            return self.champion
        digest = hashlib.sha256(f"{self.canary.variant.digest}:{session}".encode()).digest()
        return self.canary if int.from_bytes(digest[:8]) / 2**64 < self.share else self.champion

    @property
    def models(self) -> list[LiveModel]:
        """Everything loaded."""
        return [model for model in (self.champion, self.canary, self.shadow) if model is not None]


class Fleet:
    """All lineups of one worker, kept as the pointer says.

    Attributes:
        failures: By task and role, why what the pointer names is not served; what served before still does.
    """

    def __init__(self, settings: ServingSettings, root: Path, executor: Executor, pixels: PixelBudget) -> None:
        self._settings = settings
        self._pixels = pixels
        self._pointer = root / settings.pointer
        self._executor = executor
        self._observer = Observer(settings.observe)
        self._lineups: Mapping[str, LiveLineup] = MappingProxyType({})
        self._seen: tuple[int, int] | None = None
        self._stopped: set[str] = set()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self.failures: Mapping[str, str] = MappingProxyType({})
        self.on_change: Callable[[], None] = lambda: None

    @property
    def pointer(self) -> Path:
        """The file it follows."""
        return self._pointer

    @property
    def lineups(self) -> Mapping[str, LiveLineup]:
        """By the task's name. A reader takes it once and is not disturbed by a swap."""
        return self._lineups

    @property
    def ready(self) -> bool:
        """Whether something serves."""
        return bool(self._lineups)

    def lineup(self, task: str) -> LiveLineup:
        """What serves a task.

        Raises:
            Problem: 503, nothing does.
        """
        lineup = self._lineups.get(task)
        if lineup is None:
            raise nothing_serves(task, self.failures)
        return lineup

    def deployed_task(self, named: str | None) -> str:
        """The task that was named, or the only one deployed where `named` is None or empty.

        Raises:
            Problem: 503, none is deployed; 400, several are and none was named, or the named one is not.
        """
        deployed = sorted(self._lineups)
        if not deployed:
            raise nothing_serves("deployment", self.failures)
        if not named and len(deployed) == 1:
            return deployed[0]
        if named not in deployed:
            what = f"no task {named!r:.80} is deployed" if named else "several tasks are deployed and none is named"
            raise bad_option("task", what, "one of " + ", ".join(deployed), "name one of these tasks")
        return named

    def start(self) -> None:
        """Load what the pointer names, and follow it from then on."""
        self.refresh()
        self._watcher = threading.Thread(target=self._watch, name="deployment-watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Follow no more; may be called twice."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join(timeout=5)

    def stop_canary(self, task: str, digest: str, reason: str) -> None:
        """Take a canary's share away: here at once, everywhere by the pointer.

        Raises:
            OSError, VisionloopError: the pointer cannot be written; here the canary stays stopped all the same.
        """
        self._stopped.add(digest)
        lineup = self._lineups.get(task)
        if lineup is not None and lineup.canary is not None and lineup.canary.variant.digest == digest:
            self._lineups = MappingProxyType({**self._lineups, task: replace(lineup, share=0.0)})
        change(self._pointer, task, lambda held: stop_canary(held, digest, reason))

    def refresh(self) -> bool:
        """Look at the pointer, and swap what changed.

        Returns:
            Whether the file had changed. A model that cannot be loaded leaves the one before it in place.
        """
        stamp = _stamp(self._pointer)
        if stamp == self._seen:
            return False
        self._seen = stamp
        failures: dict[str, str] = {}
        try:
            deployment = Deployment.read(self._pointer)
        except VisionloopError as error:
            _log.error("deployment pointer not followed: %s", error)
            self.failures = MappingProxyType({"pointer": error.what})
            self.on_change()
            return True
        lineups: dict[str, LiveLineup] = {}
        for task, wanted in deployment.tasks.items():
            old = self._lineups.get(task)
            champion = self._load(deployment, task, wanted.champion, "champion", failures)
            champion = champion or (old.champion if old else None)
            if champion is None:
                continue
            canary = self._load(deployment, task, wanted.canary, "canary", failures)
            shadow = self._load(deployment, task, wanted.shadow, "shadow", failures)
            share = wanted.canary.share if wanted.canary and wanted.canary.digest not in self._stopped else 0.0
            lineups[task] = LiveLineup(champion, canary, share, shadow)
        self._lineups = MappingProxyType(lineups)
        self.failures = MappingProxyType(failures)
        self.on_change()
        return True

    def _load(
        self, deployment: Deployment, task: str, variant: Variant | None, role: Role, failures: dict[str, str]
    ) -> LiveModel | None:
        if variant is None:
            return None
        for model in self._lineups[task].models if task in self._lineups else ():
            if model.variant.digest == variant.digest and model.role == role:
                return model
        try:
            predictor = Predictor.open(deployment.bundle_path(self._pointer, variant), self._settings.runtime)
            _require_identity(predictor, task, variant)
        except Exception as error:
            # Engines and archives raise errors of their own; none of them may end what serves, or the worker's start.
            known = isinstance(error, VisionloopError)
            what = error.what if isinstance(error, VisionloopError) else f"the bundle cannot be loaded ({error!r:.200})"
            failures[f"{task}.{role}"] = what
            _log.error("%s of %s is not served, what served before stays: %s", role, task, error, exc_info=not known)
            return None
        _log.info("%s of %s: %s version %s", role, task, variant.model, variant.version)
        return LiveModel(variant, role, predictor, self._settings, self._executor, self._pixels, self._observer)

    def _watch(self) -> None:
        while not self._stop.wait(self._settings.poll_s):
            try:
                self.refresh()
            except Exception:
                # The watch must outlive whatever a strange file does to it.
                _log.exception("the deployment pointer could not be followed")


def verbs(tasks: Sequence[str]) -> dict[str, str]:
    """The task's name by its verb."""
    return {load_task(name).verb: name for name in tasks}


def _require_identity(predictor: Predictor, task: str, variant: Variant) -> None:
    bundle = predictor.bundle
    if bundle.digest != variant.digest or bundle.manifest.task != task:
        raise BundleError(
            f"the folder holds another bundle: {bundle.manifest.task}, sha256 {bundle.digest[:12]}",
            where=str(bundle.root),
            expected=f"{task}, sha256 {variant.digest[:12]}",
            action="deploy the version again: visionloop deploy MODEL",
        )


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def model_ref(task: str, live: LiveModel) -> dict[str, str]:
    """The model as answers name it."""
    return {"task": task, "name": live.variant.model, "version": live.variant.version, "role": live.role}
