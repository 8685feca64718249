"""Muon for convolutions (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks")."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Of the quintic Newton-Schulz iteration; chosen there for the steepest rise of small singular values."""
_STEPS = 3
_EPSILON = 1e-7
_MOMENTUM = "filter_momentum"


class Muon(torch.optim.SGD):
    """Filters step equally far in every direction; all other parameters by Nesterov's SGD.

    A filter bank [O,I,H,W], taken as a matrix [O,I*H*W], steps by its Nesterov momentum made nearly orthogonal, so that
    no direction is left behind because its gradient is small. Its norm is kept at sqrt(O), about that of a step at
    learning rate 1: the batch norm behind a convolution makes the output independent of it.

    `torch.optim.Muon` takes matrices only, and iterates in bf16, which most CPUs have to emulate.
    """

    def __init__(
        self,
        filters: Iterable[nn.Parameter],
        others: list[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        others_lr: float,
        others_momentum: float,
    ) -> None:
        """Wrap a network's parameters.

        Args:
            filters: Weights of convolutions with a batch norm behind each.
            others: Groups of all other parameters.
            lr: Of the filters: the length of a step over that of the filter bank.
            momentum: Of the filters, in [0, 1).
            others_lr: Learning rate of the others.
            others_momentum: Momentum of the others, in [0, 1).
        """
        # To SGD a filter's gradient is its whole step.
        plain = {"weight_decay": 0.0, "momentum": 0.0, "nesterov": False}
        bank = {"params": list(filters), "lr": lr, _MOMENTUM: momentum, **plain}
        super().__init__([*others, bank], lr=others_lr, momentum=others_momentum, nesterov=others_momentum > 0)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; `closure`, where there is one, computes the gradients first, and its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for filters in group["params"] if _MOMENTUM in group else ():
                if filters.grad is not None:
                    self._prepare(filters, group[_MOMENTUM])
        super().step()
        return loss

    def _prepare(self, filters: nn.Parameter, momentum: float) -> None:
        """Put the step into the place of the gradient, and bring the filters back to their norm."""
        assert filters.grad is not None
        state = self.state[filters]
        if "average" not in state:
            state["average"] = torch.zeros_like(filters)
        average = state["average"].mul_(momentum).add_(filters.grad)
        step = filters.grad.add(average, alpha=momentum)
        filters.grad.copy_(orthogonalised(step.flatten(1)).view_as(step))
        filters.mul_(len(filters) ** 0.5 / (filters.norm() + _EPSILON))


def filter_banks(network: nn.Module) -> list[nn.Parameter]:
    """The trained weights of convolutions over all their input channels that leave the bias to a norm behind them."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    banks = [layer.weight for layer in layers if layer.bias is None and layer.groups == 1]
    return [bank for bank in banks if isinstance(bank, nn.Parameter) and bank.requires_grad]


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix with singular values brought near 1, by a Newton-Schulz iteration.

    Args:
        matrix: float32 [M,N]; at most one of its dimensions may be large.

    Returns:
        float32 [M,N]; zero for a matrix of zeros.
    """
    if len(matrix) > matrix.shape[1]:
        return orthogonalised(matrix.T).T
    matrix = matrix / (matrix.norm() + _EPSILON)
    for _ in range(_STEPS):
        gram = matrix @ matrix.T
        matrix = _A * matrix + (_B * gram + _C * gram @ gram) @ matrix
    return matrix
