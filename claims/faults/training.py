"""Faults of training: schedules that are another function, steps that are miscounted, and dropout."""

from __future__ import annotations

from .fault import Fault

_RATE = "return d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)"
_OPTIMIZER = "torch.optim.lr_scheduler.LambdaLR"
_FORMULA, _NO_JUMP, _ONE_PEAK, _POWERS = (f"schedule.{name}" for name in ("formula", "no_jump", "one_peak", "powers"))


def _schedule(name: str, new: str, imitates: str, *laws: str) -> Fault:
    return Fault(name, "schedule.py", _RATE, new, imitates, {"schedule": laws})


SCHEDULE = (
    _schedule(
        "warm_up_reaches_one",
        "return d_model**-0.5 * min(step**-0.5, step / warmup)",
        "a line that reaches 1 where the warm-up ends, not where the curve is then",
        _FORMULA,
        _ONE_PEAK,
    ),
    _schedule(
        "phases_that_do_not_meet",
        "return d_model**-0.5 * (step / warmup if step < warmup else step**-0.5)",
        "an if in place of the minimum, with the slope of another recipe",
        _FORMULA,
        _NO_JUMP,
    ),
    _schedule(
        "fall_counted_from_the_end_of_the_warm_up",
        "return d_model**-0.5 * (step * warmup**-1.5 if step <= warmup else (step - warmup) ** -0.5)",
        "the second phase with a counter of its own, as chained schedulers have",
        _NO_JUMP,
        _POWERS,
    ),
    _schedule(
        "warm_up_starts_again",
        "step = (step - 1) % (2 * warmup) + 1\n    " + _RATE,
        "warm restarts, where one cycle was meant",
        _NO_JUMP,
    ),
    _schedule(
        "larger_phase_taken",
        "return d_model**-0.5 * max(step**-0.5, step * warmup**-1.5)",
        "max for min",
        _ONE_PEAK,
    ),
    _schedule(
        "first_rate_zero",
        "return d_model**-0.5 * min(step**-0.5, (step - 1) * warmup**-1.5)",
        "a counter from 0 in one of the two phases: the first step is lost",
        _ONE_PEAK,
    ),
    _schedule(
        "constant_after_the_warm_up",
        "return d_model**-0.5 * min(warmup**-0.5, step * warmup**-1.5)",
        "get_constant_schedule_with_warmup for its neighbour in the list",
        _ONE_PEAK,
    ),
    _schedule(
        "fall_with_the_step_itself",
        "return d_model**-0.5 * min(warmup**0.5 / step, step * warmup**-1.5)",
        "1/t for 1/√t: the same up to the peak",
        _POWERS,
    ),
    _schedule(
        "floor_under_the_rate",
        "return d_model**-0.5 * max(min(step**-0.5, step * warmup**-1.5), 0.5 * warmup**-0.5)",
        "a smallest rate, which the warm-up starts from as well",
        _POWERS,
    ),
    _schedule(
        "width_left_out",
        "return min(step**-0.5, step * warmup**-1.5)",
        "the factor of d_model is left to the optimiser's own rate, which somebody leaves at 1",
        _POWERS,
    ),
)

STEPS = (
    Fault(
        "counter_from_zero_clamped",
        "schedule_in_use.py",
        "learning_rate(done + 1, d_model, warmup)",
        "learning_rate(max(done, 1), d_model, warmup)",
        "step 0 raised an error, and was made 1: the first rate is used twice, and every other comes late",
        {"schedule": (_FORMULA, _ONE_PEAK)},
        on=_OPTIMIZER,
    ),
    Fault(
        "scheduler_moved_on_twice",
        "schedule_in_use.py",
        "            self.scheduler.step()\n",
        "            self.scheduler.step()\n            self.scheduler.step()\n",
        "the trainer moves the scheduler on, and the loop that calls it does so again: the warm-up lasts half as long",
        {"schedule": (_FORMULA,)},
        on=_OPTIMIZER,
    ),
    Fault(
        "optimizer_has_a_rate_of_its_own",
        "schedule_in_use.py",
        "lr=1.0",
        "lr=1e-3",
        "the optimiser's usual rate is left in place, and LambdaLR multiplies by it",
        {"schedule": (_FORMULA,)},
        on=_OPTIMIZER,
    ),
    Fault(
        "scheduler_of_epochs",
        "schedule_in_use.py",
        "            self.scheduler.step()\n",
        "            if len(self.rates) % 2 == 0:\n                self.scheduler.step()\n",
        "the scheduler is moved on once for several steps, as once an epoch",
        {"schedule": (_ONE_PEAK, _POWERS)},
        on=_OPTIMIZER,
    ),
)

_PRE = "return x + self.dropout(sublayer(self.norm(x)))"
_MODULE = "self.dropout = nn.Dropout(dropout)"
_EMBEDDING = "x = self.dropout(self.positions.embed(x, position_ids))"
_SWITCH = "dropout_p = self.dropout if self.training else 0.0"
_IDENTITY, _PLACES, _PATH, _POSITION, _RESCALED, _RATE, _INDEPENDENT = (
    f"dropout.{name}"
    for name in (
        "identity_in_evaluation",
        "places",
        "leaves_the_residual_path",
        "takes_embedding_and_position",
        "kept_are_rescaled",
        "rate",
        "independent",
    )
)

UNITS = (
    Fault(
        "dropout_not_rescaled",
        "residual.py",
        _PRE,
        "return x + self.dropout(sublayer(self.norm(x))) * (1 - self.dropout.p if self.training else 1)",
        "what is kept is left as it is: the mean is smaller in training than in evaluation",
        {"dropout": (_RESCALED,)},
    ),
    Fault(
        "dropout_rescaled_by_the_rate",
        "residual.py",
        _PRE,
        "kept = sublayer(self.norm(x)) * self.dropout(x.new_ones(x.shape)).ne(0)\n"
        "            return x + (kept / (self.dropout.p or 1) if self.training else kept)",
        "p is read as the share that is kept, as in the paper on dropout, where it is divided by",
        {"dropout": (_RESCALED,)},
    ),
    Fault(
        "dropout_rescaled_by_what_was_kept",
        "residual.py",
        _PRE,
        "mask = self.dropout(x.new_ones(x.shape)).ne(0)\n"
        "            return x + sublayer(self.norm(x)) * mask / mask.to(x).mean().clamp(min=1e-3)",
        "divided by the share that happens to be kept, not by the one that is expected",
        {"dropout": (_RESCALED,)},
    ),
    Fault(
        "dropout_rate_is_the_share_kept",
        "residual.py",
        _MODULE,
        "self.dropout = nn.Dropout(1 - dropout if dropout else 0.0)",
        "keep_prob, as TensorFlow 1 has it, handed over for p",
        {"dropout": (_RATE,)},
    ),
    Fault(
        "dropout_before_dropout",
        "residual.py",
        _PRE,
        "return x + self.dropout(self.dropout(sublayer(self.norm(x))))",
        "the sub-layer drops its output already, and the connection does it again",
        {"dropout": (_RATE,), "encoder": (_PLACES,)},
    ),
    Fault(
        "dropout_rate_rounded",
        "residual.py",
        _MODULE,
        "self.dropout = nn.Dropout(round(10 * dropout) // 2 / 5)",
        "a rate that is read as a percentage, in steps of twenty",
        {"dropout": (_RATE,)},
    ),
    Fault(
        "dropout_one_mask_a_batch",
        "residual.py",
        _PRE,
        "return x + sublayer(self.norm(x)) * self.dropout(x.new_ones(x[:1].shape))",
        "a mask without the axis of the batch, broadcast over it",
        {"dropout": (_INDEPENDENT,), "encoder": (_PLACES,)},
    ),
    Fault(
        "dropout_one_mask_a_sequence",
        "residual.py",
        _PRE,
        "return x + sublayer(self.norm(x)) * self.dropout(x.new_ones(x[:, :1].shape))",
        "one mask for all positions, which is right for recurrent networks (Gal & Ghahramani 2016)",
        {"dropout": (_INDEPENDENT,), "encoder": (_PLACES,)},
    ),
    Fault(
        "dropout_of_whole_tokens",
        "residual.py",
        _MODULE,
        "self.dropout = nn.Dropout1d(dropout)",
        "Dropout1d drops channels, and where it looks for channels there are tokens",
        {"dropout": (_INDEPENDENT,), "encoder": (_PLACES,)},
    ),
    Fault(
        "dropout_mask_kept_between_calls",
        "residual.py",
        _PRE,
        "fresh = self.dropout(x.new_ones(x.shape))\n"
        '            return x + sublayer(self.norm(x)) * vars(self).setdefault(f"mask {self.training}", fresh)',
        "a mask is drawn once, for what checkpointing recomputes, and never again",
        {"dropout": (_INDEPENDENT,)},
    ),
)

PLACES = (
    Fault(
        "dropout_in_evaluation_as_well",
        "residual.py",
        _PRE,
        "return x + nn.functional.dropout(sublayer(self.norm(x)), self.dropout.p)",
        "the function, unlike the module, is in training unless it is told",
        {"dropout": (_IDENTITY,), "encoder": (_IDENTITY,), "causal_lm": (_IDENTITY,), "seq2seq": (_IDENTITY,)},
    ),
    Fault(
        "dropout_multiplies_in_evaluation",
        "residual.py",
        _PRE,
        "return x + self.dropout(sublayer(self.norm(x))) * (1 if self.training else 1 - self.dropout.p)",
        "multiplied by 1 − p in evaluation, as Srivastava et al. have it, and divided by it in training, as PyTorch",
        {"dropout": (_IDENTITY,), "encoder": (_IDENTITY,)},
    ),
    Fault(
        "attention_dropout_in_evaluation",
        "multi_head.py",
        _SWITCH,
        "dropout_p = self.dropout",
        "a kernel is handed the rate whatever the mode: it has none of its own (scaled_dot_product_attention)",
        {"encoder": (_IDENTITY,), "seq2seq": (_IDENTITY,)},
    ),
    Fault(
        "dropout_stays_on_after_training",
        "multi_head.py",
        _SWITCH,
        'vars(self).setdefault("rate", self.dropout if self.training else 0.0)\n        dropout_p = self.rate',
        "the rate is looked up at the first call, and kept",
        {"encoder": (_IDENTITY,)},
    ),
    Fault(
        "embedding_not_dropped",
        "encoder.py",
        _EMBEDDING,
        "x = self.positions.embed(x, position_ids)",
        "dropout is made in __init__ and not called: the place that is most often left out",
        {"encoder": (_PLACES, _POSITION), "causal_lm": (_PLACES, _POSITION), "seq2seq": (_PLACES,)},
    ),
    Fault(
        "embedding_dropped_before_positions",
        "encoder.py",
        _EMBEDDING,
        "x = self.positions.embed(self.dropout(x), position_ids)",
        "dropout in the embedding layer: positions come through whole",
        {"encoder": (_POSITION,)},
    ),
    Fault(
        "positions_dropped_alone",
        "encoder.py",
        _EMBEDDING,
        "x = x + self.dropout(self.positions.embed(x, position_ids) - x)",
        "dropout in the module of the positions, as many tutorials have it, whose sum goes elsewhere",
        {"encoder": (_POSITION,), "causal_lm": (_POSITION,)},
    ),
    Fault(
        "cross_attention_not_dropped",
        "decoder.py",
        "self.cross_attention_residual = Residual(config.d_model, config.norm, config.dropout)",
        "self.cross_attention_residual = Residual(config.d_model, config.norm, 0.0)",
        "one of the three sub-layers of a decoder is left out",
        {"seq2seq": (_PLACES,)},
    ),
    Fault(
        "attention_dropout_not_passed_on",
        "encoder.py",
        "positions, dropout=config.attention_dropout",
        "positions, dropout=config.dropout",
        "the rate of the units is used for the weights, which have one of their own",
        {"encoder": (_PLACES,), "causal_lm": (_PLACES,)},
    ),
    Fault(
        "dropout_after_the_sum",
        "residual.py",
        _PRE,
        "return self.dropout(x + sublayer(self.norm(x)))",
        "the sum is dropped, and the path around the sub-layer with it",
        {"encoder": (_PATH,), "causal_lm": (_PATH,)},
    ),
    Fault(
        "dropout_after_the_last_norm",
        "residual.py",
        "return self.norm(x + self.dropout(sublayer(x)))",
        "return self.dropout(self.norm(x + sublayer(x)))",
        "post-LN with dropout behind the norm: there are as many masks as before",
        {"encoder": (_PATH,)},
    ),
    Fault(
        "dropout_of_what_a_sublayer_reads",
        "residual.py",
        _PRE,
        "return x + sublayer(self.dropout(self.norm(x)))",
        "dropout before the sub-layer, as is usual for linear layers",
        {"encoder": (_PATH,)},
    ),
)
