"""How many decoded pixels a worker holds at once, and what is kept of a picture once the model has its input."""

from __future__ import annotations

import threading

import numpy as np
from PIL import Image

from visionloop.core.images import ImageArray
from visionloop.serving.refusals import pixels_exhausted

HELD_PIXELS = 1_000_000
"""Pictures of at most so many pixels are held on to until they have been stored; larger ones are decoded again."""


class PixelBudget:
    """Decoded pixels of one worker, over all its threads.

    A file of a few kilobytes may have 64 megapixels, so that no limit on bodies bounds what decoding takes.
    """

    def __init__(self, max_pixels: int) -> None:
        """`max_pixels`: held at once; a single image may have more, while nothing else is held."""
        self._max_pixels = max_pixels
        self._freed = threading.Condition()
        self.held = 0

    def share(self) -> Share:
        """A share of it, empty at first."""
        return Share(self)

    def take(self, num_pixels: int, patience_s: float) -> None:
        """Count pixels that are about to be held, waiting for others to free theirs if need be.

        Raises:
            Problem: 503, there is no room within `patience_s`.
        """
        with self._freed:
            if not self._freed.wait_for(lambda: self._has_room(num_pixels), patience_s):
                raise pixels_exhausted(self.held, self._max_pixels)
            self.held += num_pixels

    def give_back(self, num_pixels: int) -> None:
        """Count pixels that are held no longer."""
        with self._freed:
            self.held -= num_pixels
            self._freed.notify_all()

    def _has_room(self, num_pixels: int) -> bool:
        return self.held == 0 or self.held + num_pixels <= self._max_pixels


class Share:
    """Pixels that one piece of work holds; a `with` gives them back at its end."""

    def __init__(self, budget: PixelBudget) -> None:
        self._budget = budget
        self._held = 0

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._budget.give_back(self._held)
            self._held = 0

    def take(self, num_pixels: int, patience_s: float = 0.0) -> None:
        """As the budget's."""
        self._budget.take(num_pixels, patience_s)
        self._held += num_pixels


def shrunk(image: ImageArray, max_pixels: int) -> ImageArray:
    """An image uint8 [H,W,3], scaled down to at most `max_pixels` where it has more."""
    height, width = image.shape[:2]
    if height * width <= max_pixels:
        return image
    factor = (max_pixels / (height * width)) ** 0.5
    width = max(1, min(int(width * factor), max_pixels))
    height = max(1, min(int(height * factor), max_pixels // width))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
