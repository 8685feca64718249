from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.contract import tiny_plan
from visionloop.data.samples import Dataset
from visionloop.networks import ConvBlock
from visionloop.task import task_names
from visionloop.training.fit import fit
from visionloop.training.muon import Muon, filter_banks, orthogonalised


@pytest.mark.parametrize("shape", [(16, 144), (144, 16), (16, 16)])
def test_directions_with_small_gradients_are_not_left_behind(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) @ torch.diag(torch.logspace(-1, 1, shape[1]))
    before, after = torch.linalg.svdvals(matrix), torch.linalg.svdvals(orthogonalised(matrix))
    assert after.max() < 1.3
    assert before.median() < 0.5 * before.max()
    assert after.median() > 0.6 * after.max()
    # The scale of a gradient means nothing, and its directions stay its own.
    assert torch.allclose(orthogonalised(1000 * matrix), orthogonalised(matrix), atol=1e-4)
    assert torch.sum(orthogonalised(matrix) * matrix) > 0


def test_a_gradient_of_zeros_moves_nothing() -> None:
    assert torch.equal(orthogonalised(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_filters_are_those_of_convolutions_before_a_norm() -> None:
    wanted, frozen = ConvBlock(3, 8), ConvBlock(8, 8)
    frozen.requires_grad_(False)
    depthwise = nn.Conv2d(8, 8, 3, groups=8, bias=False)
    network = nn.Sequential(wanted, frozen, depthwise, nn.Conv2d(8, 8, 1), nn.Flatten(), nn.Linear(8, 2, bias=False))
    (bank,) = filter_banks(network)
    assert bank is wanted.conv.weight


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(ConvBlock(3, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))


def optimizer(module: nn.Module) -> Muon:
    banks = filter_banks(module)
    others = [{"params": [p for p in module.parameters() if p is not banks[0]], "weight_decay": 0.1}]
    return Muon(banks, others, lr=0.1, momentum=0.6, others_lr=0.05, others_momentum=0.9)


def step(module: nn.Module, how: torch.optim.Optimizer, seed: int) -> float:
    """One step by a closure, as Lightning takes it; its loss."""
    generator = torch.Generator().manual_seed(seed)
    images, classes = torch.randn(16, 3, 8, 8, generator=generator), torch.arange(16) % 2
    images[classes == 1] += 0.5

    def closure() -> float:
        how.zero_grad()
        loss = functional.cross_entropy(module(images), classes)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    loss = how.step(closure)
    assert loss is not None
    return float(loss)


def test_filters_keep_their_norm_and_step_so_far_of_it() -> None:
    module = network()
    how = optimizer(module)
    (bank,) = filter_banks(module)
    step(module, how, 0)
    at_norm = bank.detach().clone() * (len(bank) ** 0.5 / bank.detach().norm())
    step(module, how, 1)
    moved = (bank.detach() - at_norm).norm() / at_norm.norm()
    assert 0.03 < float(moved) < 0.13


def test_all_else_steps_as_by_sgd() -> None:
    module, twin = network(), network()
    how = optimizer(module)
    filter_banks(twin)[0].requires_grad_(False)
    rest = [p for p in twin.parameters() if p.requires_grad]
    step(module, how, 0)
    step(twin, torch.optim.SGD(rest, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1), 0)
    for ours, theirs in zip(list(module.parameters())[1:], rest, strict=True):
        assert torch.equal(ours, theirs)


def test_it_learns_and_goes_on_from_its_state() -> None:
    module = network()
    how = optimizer(module)
    losses = [step(module, how, seed) for seed in range(20)]
    assert losses[-1] < 0.5 * losses[0]
    twin = copy.deepcopy(module)
    other = optimizer(twin)
    other.load_state_dict(copy.deepcopy(how.state_dict()))
    for seed in range(20, 23):
        step(module, how, seed)
        step(twin, other, seed)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("name", task_names())
def test_every_task_trains_with_it(name: str, datasets: dict[str, Dataset], tmp_path: Path) -> None:
    plan = tiny_plan(name, optimizer="muon", learning_rate=0.05)
    result = fit(plan, datasets[name], tmp_path / "model", resume_dir=tmp_path / "resume")
    assert (result.folder / "weights.safetensors").is_file()
