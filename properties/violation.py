"""Violations: what a failure says, and the token that brings it back."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .case import Case
from .comparison import Outcome

if TYPE_CHECKING:
    from .engine import Check

TOKEN_VERSION = "vf1"


class BadToken(ValueError):
    """A replay token that cannot be read: one line with what was expected."""


@dataclass(frozen=True)
class Token:
    """What a replay token says: which law, on which path, device and dtype, and the case."""

    law: str
    contract: str
    path: Mapping[str, str]
    device: str
    dtype: str
    case: Case

    def encode(self) -> str:
        """As a short string, the same on every machine."""
        data = {
            "l": self.law,
            "k": self.contract,
            "p": dict(self.path),
            "d": self.device,
            "t": self.dtype,
            "c": self.case.to_data(),
        }
        packed = zlib.compress(json.dumps(data, separators=(",", ":"), sort_keys=True).encode(), 9)
        return f"{TOKEN_VERSION}.{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"

    @classmethod
    def decode(cls, text: str) -> Token:
        """The inverse of :meth:`encode`. Raises :class:`BadToken`."""
        version, _, packed = text.partition(".")
        if version != TOKEN_VERSION:
            raise BadToken(
                f"expected a replay token that begins with {TOKEN_VERSION}., got {text[:16]!r}; copy it whole"
            )
        try:
            raw = zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
            data: dict[str, Any] = json.loads(raw)
            return cls(data["l"], data["k"], data["p"], data["d"], data["t"], Case.from_data(data["c"]))
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise BadToken(f"the replay token is damaged ({type(error).__name__}); copy it whole") from error


def token_of(check: Check, case: Case) -> str:
    """The token that replays ``case`` under ``check``."""
    return Token(check.law.name, check.subject.contract, check.path, check.device, check.dtype, case).encode()


class Violation(AssertionError):
    """A law does not hold: for which check and case, and what was measured."""

    def __init__(self, check: Check, case: Case, outcome: Outcome) -> None:
        """The message teaches: law, claim, smallest case, measured against allowed, where, cause, reproduction."""
        self.check, self.case, self.outcome = check, case, outcome
        super().__init__(self.message())

    @property
    def token(self) -> str:
        """The token that replays this case."""
        return token_of(self.check, self.case)

    def message(self) -> str:
        """The whole message."""
        law, outcome, check = self.check.law, self.outcome, self.check
        claims = f"   (claim {', '.join(law.claims)})" if law.claims else ""
        lines = [
            f"{law.name} is violated{claims}",
            f"  law        {law.statement}",
            f"             {law.formula}",
            f"  subject    {told_subject(check)}",
            f"  path       {told_path(check.path)}",
            f"  smallest   {told_case(check, self.case)}",
            f"  measured   {_figure(outcome)}",
        ]
        if outcome.where:
            lines.append(f"  where      {outcome.where}")
        if outcome.cause:
            lines.append(f"  likely     {outcome.cause}")
        lines.append(f"  reproduce  veriformer check {check.address} --replay {self.token}")
        return "\n".join(lines)


def _figure(outcome: Outcome) -> str:
    if outcome.figure is not None:
        return outcome.figure
    if outcome.p_value is not None:
        return f"p = {outcome.p_value:.2g}, allowed above {outcome.allowed:.0e}; {outcome.what}"
    if outcome.measured == float("inf"):
        return f"not a finite number: {outcome.what} ({outcome.got})"
    allowed = "exactly 0" if outcome.allowed == 0 else f"{outcome.allowed:.2e}"
    came = f" ({outcome.got})" if outcome.got else ""
    return f"{outcome.measured:.2e}, allowed {allowed}: {outcome.what}{came}"


def told_subject(check: Check) -> str:
    """The subject with its contract, and what it computes in and on, if it computes with tensors."""
    named = f"{check.subject.name} ({check.subject.contract})"
    return f"{named}, {check.dtype} on {check.device}" if check.subject.kind.takes_inputs else named


def told_path(path: Mapping[str, str]) -> str:
    """A path as words, plain values left out."""
    plain = {
        "over": "x",
        "padding": "absent",
        "causal": "off",
        "weights": "no",
        "mode": "eval",
        "grad": "on",
        "scale": "default",
    }
    told = [f"{axis}={value}" for axis, value in path.items() if plain.get(axis) != value]
    return ", ".join(told) or "plain"


def told_case(check: Check, case: Case) -> str:
    """A case as words: the sizes that matter to this contract, and what the law drew."""
    contract = check.subject.kind
    if not contract.takes_inputs:
        return ", ".join(f"{name} {value!r}" for name, value in case.draws.items())
    parts = [f"batch {case.batch}"]
    if "program" not in case.draws:
        parts.append(f"length {case.length}")
    if check.path["over"] == "memory" or check.subject.contract in ("cross_attention", "seq2seq"):
        parts.append(f"memory length {case.memory_length}")
    parts += [f"heads {case.n_heads}", f"d_k {case.d_k}"]
    parts += [f"layers {case.n_layers}"] if not contract.is_function else []
    parts += [f"{case.groups} query heads a key head"] if case.groups > 1 else []
    parts += [f"real {' '.join(case.real)}"] if case.real else []
    parts += [f"{name} {value}" for name, value in case.draws.items()]
    parts.append(f"{case.contents} from seed {case.seed}")
    return ", ".join(parts)
