"""How far rounding goes, against the bound that is proved: error over bound, for inputs that try to exceed it.

    python benchmarks/rounding_bound.py [--cases N] [--rounds N] [--families]

One row for each kernel and precision: emulated with one rounding for every operation, where sums run from first to
last, and PyTorch's own, where it computes in float32 inside. It shows the largest error over bound that was found, on
which family of inputs, and the same for random inputs. A figure above 1 fails the command; 0.01 would be an allowance
of two orders of magnitude.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import torch

from veriformer.properties.emulated import Experiment, of_attention, of_dot_product, of_softmax

HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32
PRECISIONS = ((HALF, HALF), (BRAIN, BRAIN), (SINGLE, SINGLE), (HALF, SINGLE), (BRAIN, SINGLE))


def experiments(dtype: torch.dtype, accumulate: torch.dtype) -> Iterator[tuple[str, str, Experiment]]:
    """A kernel, its size, and what is measured."""
    for own in (False, True) if accumulate is SINGLE else (False,):
        of = "PyTorch's" if own else "emulated"
        for n in (64, 4096):
            yield f"{of} dot product", f"n = {n}", of_dot_product(n, dtype, accumulate, torchs_own=own)
        for n in (64, 4096):
            yield f"{of} softmax", f"n = {n}", of_softmax(n, dtype, accumulate, torchs_own=own)
        for n, d in ((16, 8), (256, 64)):
            yield f"{of} attention", f"n = {n}, d = {d}", of_attention(n, d, dtype, accumulate, torchs_own=own)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=32, help="inputs of each family (default: 32)")
    parser.add_argument("--rounds", type=int, default=30, help="changes that the search tries (default: 30)")
    parser.add_argument("--families", action="store_true", help="a line for each family of inputs as well")
    options = parser.parse_args()
    largest, smallest, cases = 0.0, 1.0, 0
    print(f"{'stored':9} {'inside':9} {'kernel':23} {'size':15} {'random':>7} {'worst':>6}  on")
    for dtype, accumulate in PRECISIONS:
        names = f"{str(dtype)[6:]:9} {str(accumulate)[6:]:9}"
        for kernel, size, experiment in experiments(dtype, accumulate):
            found = experiment.worst(cases=options.cases, rounds=options.rounds)
            worst = max(found, key=lambda family: found[family])
            print(f"{names} {kernel:23} {size:15} {found['random']:7.3f} {found[worst]:6.3f}  {worst}", flush=True)
            if options.families:
                print("".join(f"{'':59} {ratio:13.3f}  {family}\n" for family, ratio in found.items()), end="")
            largest, smallest = max(largest, found[worst]), min(smallest, found[worst])
            cases += options.cases * (len(experiment.families) + options.rounds)
    print(f"{cases} inputs: no error above {largest:.3f} of its bound; in every row one of at least {smallest:.3f}")
    sys.exit(largest > 1)


if __name__ == "__main__":
    main()
