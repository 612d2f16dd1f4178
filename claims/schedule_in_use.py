"""The reference's schedule in use: the rates that an optimiser of PyTorch's takes its steps with.

A schedule may be right and its steps be miscounted: the scheduler's counter begins at 0, it is moved on by whoever
trains, and it multiplies the optimiser's own rate. So the rates are not asked of the scheduler. They are read off a
parameter whose gradient is 1, and which plain gradient descent therefore moves by exactly the rate.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.optim.lr_scheduler import LambdaLR

from veriformer.properties import Subject
from veriformer.reference import learning_rate


class _Training:
    """A training run that goes as far as it is asked about."""

    def __init__(self, d_model: int, warmup: int) -> None:
        self.parameter = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.parameter.grad = torch.ones_like(self.parameter)
        self.optimizer = torch.optim.SGD([self.parameter], lr=1.0)
        self.scheduler = LambdaLR(self.optimizer, lambda done: learning_rate(done + 1, d_model, warmup))
        self.rates: list[float] = []

    def rate(self, step: int) -> float:
        """The rate that step number ``step`` is taken with, counted from 1."""
        while len(self.rates) < step:
            with torch.no_grad():
                self.parameter.zero_()
            self.optimizer.step()
            self.rates.append(-float(self.parameter.detach()))
            self.scheduler.step()
        return self.rates[step - 1]


_training = lru_cache(maxsize=64)(_Training)


def _rate_in_use(step: int, d_model: int, warmup: int) -> float:
    return _training(d_model, warmup).rate(step)


LAMBDA_LR = Subject(name="torch.optim.lr_scheduler.LambdaLR", contract="schedule", call=_rate_in_use)
