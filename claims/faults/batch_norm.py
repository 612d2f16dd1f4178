"""Faults of BatchNorm: whose statistics it takes, which of them it keeps, and when it uses which."""

from __future__ import annotations

from .fault import Fault

_FILE = "batch_norm.py"
_CHOICE = "self.batch_statistics(wide) if self.training else (self.running_mean, self.running_var)"
_NORMALISED = "normalised = (wide - mean) / torch.sqrt(variance + self.eps)"


def _fault(name: str, old: str, new: str, imitates: str, *laws: str) -> Fault:
    return Fault(f"batchnorm_{name}", _FILE, old, new, imitates, {"batch_norm": tuple(f"batchnorm.{x}" for x in laws)})


BATCH_NORM = (
    _fault(
        "for_each_sample",
        _CHOICE,
        "(wide.flatten(1, -2).mean(1).unflatten(0, (-1, *[1] * (wide.dim() - 2))), self.batch_statistics(wide)[1]) "
        "if self.training else (self.running_mean, self.running_var)",
        "the mean of each sample over its places, as instance normalisation has it",
        "standardises",
        "neighbours",
    ),
    _fault(
        "for_each_place",
        _CHOICE,
        "(wide.mean(dim=0), wide.var(dim=0, correction=0)) if self.training else (self.running_mean, self.running_var)",
        "statistics over axis 0 alone, where a sequence or an image has more samples of a channel than that",
        "standardises",
        "neighbours",
        "running_update",
    ),
    _fault(
        "one_mean_for_all_channels",
        "mean = samples.mean(dim=0)",
        "mean = samples.mean().expand(samples.shape[1])",
        "a mean without its dim",
        "standardises",
        "running_update",
        "moved_data",
        "few_samples",
        "sigmoid_keeps_slope",
    ),
    _fault(
        "unbiased_in_training",
        "variance = (samples - mean).square().mean(dim=0)",
        "variance = (samples - mean).square().sum(dim=0) / max(m - 1, 1)",
        "torch.var divides by m − 1 unless it is told",
        "standardises",
        "neighbours",
    ),
    _fault(
        "epsilon_outside_the_root",
        "torch.sqrt(variance + self.eps)",
        "(torch.sqrt(variance) + self.eps)",
        "ε added to the standard deviation",
        "standardises",
        "fixed_at_test",
    ),
    _fault(
        "mean_not_subtracted",
        _NORMALISED,
        "normalised = wide / torch.sqrt(variance + self.eps)",
        "only the scale is normalised",
        "standardises",
        "moved_data",
        "few_samples",
        "sigmoid_keeps_slope",
    ),
    _fault(
        "divided_by_the_variance",
        _NORMALISED,
        "normalised = (wide - mean) / (variance + self.eps)",
        "the root is forgotten",
        "standardises",
        "fixed_at_test",
        "moved_data",
        "sigmoid_keeps_slope",
    ),
    _fault(
        "running_statistics_in_training",
        _CHOICE,
        "(self.batch_statistics(wide), (self.running_mean, self.running_var))[1]",
        "the statistics are updated, and the running ones are used: a layer frozen by halves",
        "neighbours",
        "few_samples",
        "sigmoid_keeps_slope",
    ),
    _fault(
        "batch_statistics_in_evaluation",
        _CHOICE,
        "self.batch_statistics(wide)",
        "eval() does not reach the layer, or is never called",
        "fixed_at_test",
        "moved_data",
    ),
    _fault(
        "updated_in_evaluation",
        _CHOICE,
        "(self.running_mean.clone(), self.running_var.clone())\n"
        "        found = self.batch_statistics(wide)\n"
        "        mean, variance = found if self.training else (mean, variance)",
        "test data leak into the running statistics",
        "fixed_at_test",
    ),
    _fault(
        "statistics_detached",
        "return mean, variance",
        "return mean.detach(), variance.detach()",
        "the gradient does not go through the statistics: values are right (Ioffe and Szegedy's second section)",
        "neighbours",
        "few_samples",
    ),
    _fault(
        "momentum_of_the_old",
        "self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)",
        "self.running_mean.lerp_(mean.to(self.running_mean), 1 - self.momentum)",
        "momentum as TensorFlow and Keras mean it: the share of what was there before",
        "running_update",
    ),
    _fault(
        "biased_variance_kept",
        "unbiased = variance * m / max(m - 1, 1)",
        "unbiased = variance",
        "what normalises the batch is kept for test time as it is, too small by (m − 1)/m",
        "running_update",
    ),
    _fault(
        "deviation_kept_for_variance",
        "self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)",
        "self.running_var.lerp_(unbiased.sqrt().to(self.running_var), self.momentum)",
        "the standard deviation goes where the variance belongs",
        "running_update",
    ),
)
