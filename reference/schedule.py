"""The paper's learning rate: a straight rise, then a fall with the inverse square root."""


def learning_rate(step: int, d_model: int, warmup: int) -> float:
    """d_model^−0.5 · min(step^−0.5, step · warmup^−1.5): the largest is (d_model · warmup)^−0.5, at step = warmup.

    Steps count from 1, and the counter of `torch.optim.lr_scheduler.LambdaLR` from 0: it says how many steps are done.
    LambdaLR multiplies what the function gives by the optimiser's own rate, which is therefore 1:

        optimizer = torch.optim.Adam(model.parameters(), lr=1.0, betas=(0.9, 0.98), eps=1e-9)
        scheduler = LambdaLR(optimizer, lambda done: learning_rate(done + 1, d_model, warmup))

    Args:
        step: the step of training that is to be taken with this rate, the first being 1.
        d_model: width of the model.
        warmup: number of steps over which the rate rises; 4000 in the paper.

    Raises:
        ValueError: one of them is not a positive integer.

    Source: Vaswani et al. 2017, eq. 3; §5.3 for the optimiser.
    """
    for name, value in (("step", step), ("d_model", d_model), ("warmup", warmup)):
        if not isinstance(value, int) or value < 1:
            hint = "to a counter that begins at 0 add 1" if name == "step" else f"give {name} of at least 1"
            raise ValueError(f"{name} must be a positive integer, got {value!r}; {hint}")
    return d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)
