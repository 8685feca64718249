"""Settings of the export; apart from it, so that reading a configuration does not load torch."""

from __future__ import annotations

from pydantic import Field

from visionloop.core.settings import Settings


class ExportSettings(Settings):
    """How the bundle is made and what counts as proof."""

    relative_tolerance: float = Field(default=1e-3, gt=0, le=0.1)
    """Largest difference per output, relative to the output's largest absolute value."""
    max_metric_drop: float = Field(default=0.001, ge=0, le=0.05)
    """Largest loss of the primary metric from framework to graph, absolute."""
    max_parity_images: int = Field(default=1000, ge=1)
    """Validation images compared; all of them when there are fewer."""
    golden_images: int = Field(default=4, ge=1, le=64)
    """Images in the golden batch."""
    batch_size: int = Field(default=32, ge=1, le=1024)
    """Images put through the networks at once."""
