"""Settings of the data stages: where a source lies, what is tolerated, how it is split."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from visionloop.core.settings import Settings


class SourceSettings(Settings):
    """Somebody's images and annotations as they are."""

    kind: Literal["folder", "voc", "coco", "yolo", "csv"] = "folder"
    """`folder`: one folder a class, below train/val/test folders or not. `voc`: Pascal VOC. `coco`: JSON files with
    images, annotations and categories. `yolo`: images with label files, and data.yaml. `csv`: tables with the columns
    image and label, for detection xmin, ymin, xmax, ymax too (docs/data.md)."""
    path: str = "data"
    """Folder or archive (.zip, .tar, .tar.gz, .tgz), relative to the project."""
    name: str = "dataset"
    """Name of the dataset; names the registered model too."""
    licence: str = ""
    """Licence of the images, in words."""
    one_based: bool = True
    """VOC and CSV only: boxes count pixels from 1 and include the last, as Pascal VOC defines them. False for tools
    that count from 0 and leave xmax, ymax out (labelImg, CVAT, Roboflow)."""
    max_unpacked_gb: float = Field(default=50.0, gt=0)
    """Archives that hold more gigabytes (10^9 bytes) than this are refused."""


class CheckSettings(Settings):
    """What is tolerated in a source."""

    max_unreadable_fraction: float = Field(default=0.01, ge=0, le=1)
    """Largest share of unusable images (unreadable, without sound annotation, or with objects of which none is sound,
    for such an image is no background), and of unusable objects, that is left out and listed; more stops. Rounded up
    to whole images: of 60, 1% is one."""
    box_tolerance_px: float = Field(default=2.0, ge=0, le=100)
    """A box that sticks out of its image by at most this is clipped without a warning."""


class SplitSettings(Settings):
    """How samples without an official split are assigned."""

    val_fraction: float = Field(default=0.15, gt=0, lt=1)
    """Share for validation, taken from the training images if the source has no validation split."""
    test_fraction: float = Field(default=0.15, gt=0, lt=1)
    """Share for the test, where the source has no test split."""
    seed: int = Field(default=7, ge=0)
    """Key of the hash that assigns; another seed is another assignment."""

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> Self:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("must leave something to train: val_fraction + test_fraction is 1 or more")
        return self


class DataSettings(Settings):
    """From source to dataset."""

    source: SourceSettings = SourceSettings()
    """Where the images are."""
    overlay: str | None = None
    """Folder of labelled images from feedback, relative to the project, which retraining fills (docs/retraining.md); a
    name that begins with a dot may lie inside the source. Null, or where there is none: the source alone."""
    check: CheckSettings = CheckSettings()
    """What is tolerated."""
    split: SplitSettings = SplitSettings()
    """How splits are made."""
