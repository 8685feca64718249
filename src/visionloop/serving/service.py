"""The BentoML service: one process tree, no child services, our routes in place of BentoML's own.

Start it with `visionloop serve`, `make serve` or `bentoml serve`. Settings come from the `serving` block of
`params.yaml` in the working directory (or the file named by VISIONLOOP_PARAMS); a bento carries its own.

BentoML imports this module twice, one after the other: in the process that starts the workers, and in each worker. The
first needs to know the service's settings alone, so what answers requests is imported where it is made.
"""

from __future__ import annotations

import gc

import bentoml
from starlette.types import ASGIApp

from visionloop.core.places import project_root
from visionloop.serving.log import start_log
from visionloop.serving.settings import load_settings
from visionloop.serving.timeouts import remove_bento_timeout

_ROOT = project_root()
_SETTINGS = load_settings(_ROOT)
remove_bento_timeout()


@bentoml.service(
    name="visionloop",
    workers=_SETTINGS.workers,
    resources={"gpu": 1} if _SETTINGS.runtime.device == "cuda" else {},
    logging={"access": {"enabled": False}},
    # BentoML's own request metrics make a series of every path, and cost as much as an inference; ours are served
    # in their place. Its tracing costs too, also where no exporter is set.
    metrics={"enabled": False},
    tracing={} if _SETTINGS.tracing else {"excluded_urls": ".*"},
    http={"host": _SETTINGS.host, "port": _SETTINGS.port},
    # A stopping worker finishes what it has begun.
    runner_probe={"enabled": False},
)
class VisionLoop:
    """Serves what the deployment pointer names."""

    def __init__(self) -> None:
        from visionloop.serving.front import open_api

        start_log(_SETTINGS.log_level)
        # An exception here would make BentoML start the worker again for ever; without models it says 503.
        self._api = open_api(_SETTINGS, _ROOT)
        self._api.start()
        # What is loaded by now stays; a request makes little that the collector would have to find.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)

    async def __is_ready__(self) -> bool:
        """Whether a model serves."""
        return self._api.fleet.ready

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def _close(self) -> None:
        self._api.close()


def front(app: ASGIApp) -> ASGIApp:
    """What stands before BentoML's application `app`."""
    from visionloop.serving.front import Front

    return Front(app, _SETTINGS, _ROOT)


VisionLoop.add_asgi_middleware(front)  # type: ignore[attr-defined]
