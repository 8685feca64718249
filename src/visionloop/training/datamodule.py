"""Samples as batches: decoded once, augmented per (seed, epoch, sample), in an order that can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import move_data_to_device
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from visionloop.core.images import ImageArray, Placement, Recipe
from visionloop.data.samples import Dataset, Sample, Split
from visionloop.task import Learner

_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """A collated batch.

    Attributes:
        images: uint8 [N,H,W,3].
        targets: What the learner's `collate` returned.
        indices: Positions of the samples in their split, length N.
    """

    images: torch.Tensor
    targets: Any
    indices: list[int]

    def pin_memory(self) -> Batch:
        """Page-locked images, for the dataloader."""
        return Batch(self.images.pin_memory(), self.targets, self.indices)


class InputSet(TorchDataset[tuple[ImageArray, Any, int]]):
    """One split as model inputs; augmented if asked."""

    def __init__(
        self, dataset: Dataset, split: Split, learner: Learner, recipe: Recipe, *, seed: int | None, cache_mb: int
    ) -> None:
        """Read the table, and the images too when they fit into the cache.

        Args:
            dataset: The canonical dataset.
            split: Which split.
            learner: Gives targets and augmentation.
            recipe: The model's input.
            seed: Seed of the augmentation; None leaves the images as they are.
            cache_mb: Largest size in memory, in megabytes, up to which all inputs are kept decoded.
        """
        self.samples: list[Sample] = dataset.samples(split)
        self.placements: list[Placement] = [recipe.place(sample.width, sample.height) for sample in self.samples]
        self.epoch = 0
        self._dataset, self._learner, self._recipe, self._seed = dataset, learner, recipe, seed
        size = len(self.samples) * recipe.height * recipe.width * 3
        self._cache: npt.NDArray[np.uint8] | None = self._decode_all(split) if size <= cache_mb * _MB else None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[ImageArray, Any, int]:
        image = self._input(index)
        target = self._learner.target(self.samples[index], self.placements[index])
        if self._seed is not None:
            image, target = self._learner.augment(image, target, view_seed(self._seed, self.epoch, index))
        return image, target, index

    def inputs(self, count: int) -> ImageArray:
        """Up to `count` inputs, spread evenly over the split and not augmented: uint8 [N,H,W,3]."""
        indices = np.linspace(0, len(self), min(count, len(self)), endpoint=False, dtype=int)
        return np.stack([self._input(index) for index in indices])

    def _input(self, index: int) -> ImageArray:
        return self._cache[index] if self._cache is not None else self._decode(index)

    def _decode(self, index: int) -> ImageArray:
        return self._recipe.apply(self._dataset.read_image(self.samples[index]))[0]

    def _decode_all(self, split: Split) -> npt.NDArray[np.uint8]:
        cache = np.empty((len(self.samples), self._recipe.height, self._recipe.width, 3), np.uint8)
        indices = range(len(self.samples))
        console = Console(stderr=True)
        for index in track(
            indices, f"decoding {split}", console=console, transient=True, disable=not console.is_terminal
        ):
            cache[index] = self._decode(index)
        return cache


def view_seed(seed: int, epoch: int, index: int) -> int:
    """A 32-bit seed for one view of one sample, the same whether or not training was interrupted."""
    return int(np.random.SeedSequence((seed, epoch, index)).generate_state(1)[0])


class EpochBatches(Sampler[list[int]]):
    """Batches in an order given by (seed, epoch) alone; the last, incomplete one is left out.

    `batch_size` is at most `num_samples`, or there would be no step at all.
    """

    def __init__(self, num_samples: int, batch_size: int, seed: int) -> None:
        self.batch_size = batch_size
        self.epoch = 0
        self._num_samples, self._seed = num_samples, seed

    def __len__(self) -> int:
        return self._num_samples // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng((self._seed, self.epoch)).permutation(self._num_samples).tolist()
        for step in range(len(self)):
            yield order[step * self.batch_size : (step + 1) * self.batch_size]


class DataModule(pl.LightningDataModule):
    """Training and validation batches of one dataset."""

    def __init__(self, train: InputSet, val: InputSet, learner: Learner, *, batch_size: int, workers: int, seed: int):
        super().__init__()
        self.train, self.val = train, val
        self.batches = EpochBatches(len(train), batch_size, seed)
        self._learner, self._batch_size, self._workers = learner, batch_size, workers

    def train_dataloader(self) -> DataLoader[Any]:
        """Called every epoch, so that order and augmentation depend on the epoch's number alone."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        self.batches.epoch = self.train.epoch = epoch
        return DataLoader(
            self.train,
            batch_sampler=self.batches,
            collate_fn=self._collate,
            num_workers=self._workers,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation split in order, unchanged."""
        return DataLoader(self.val, batch_size=self._batch_size, collate_fn=self._collate, num_workers=self._workers)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Move images and targets; indices stay."""
        targets = move_data_to_device(batch.targets, device)
        return Batch(batch.images.to(device, non_blocking=True), targets, batch.indices)

    def _collate(self, items: Sequence[tuple[ImageArray, Any, int]]) -> Batch:
        images = torch.from_numpy(np.stack([image for image, _, _ in items]))
        return Batch(
            images, self._learner.collate([target for _, target, _ in items]), [index for _, _, index in items]
        )
