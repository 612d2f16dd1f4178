"""What the harness costs: the share of a run that is not spent inside the implementation.

    python benchmarks/harness_cost.py

Prints, per subject, seconds in all, seconds in the subject's own calls, the share that is not, and milliseconds an
example. Shares are comparable between machines; seconds are not.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from veriformer.properties import Status, Subject, check_subject, trial
from veriformer.properties.loading import load

SUBJECTS = (
    ("torch.nn.functional.scaled_dot_product_attention", "attention"),
    ("torch.nn.MultiheadAttention", "self_attention"),
    ("torch.nn.TransformerEncoder", "encoder"),
    ("reference", "encoder"),
    ("reference", "causal_lm"),
)


def timed(subject: Subject) -> tuple[float, float, int]:
    """Seconds in all and in the subject (calls, builds and backward passes), and the examples run."""
    inside, plain, backward = [0.0], trial.guarded, torch.autograd.grad

    def clocked(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **keywords: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **keywords)
            finally:
                inside[0] += time.perf_counter() - started

        return run

    trial.guarded, torch.autograd.grad = clocked(plain), clocked(backward)  # type: ignore[assignment]
    started = time.perf_counter()
    try:
        results = check_subject(subject, max_examples=10)
    finally:
        trial.guarded, torch.autograd.grad = plain, backward
    ran = [r for r in results if r.status is not Status.NOT_APPLICABLE]
    return time.perf_counter() - started, inside[0], sum(r.examples for r in ran)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{'subject':50} {'contract':15} {'s':>6} {'in it':>6} {'share':>6} {'ms/example':>10}")
    for address, contract in SUBJECTS:
        (subject,) = load(address, contract=contract)
        whole, inside, examples = timed(subject)
        share = f"{1 - inside / whole:.0%}"
        print(f"{address:50} {contract:15} {whole:6.1f} {inside:6.1f} {share:>6} {1000 * whole / examples:10.1f}")


if __name__ == "__main__":
    main()
