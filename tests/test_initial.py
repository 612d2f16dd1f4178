"""First weights: the page, the laws and what each library declares say the same; and Keras on another backend."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch

from veriformer.derivations import derivation
from veriformer.properties import Normal, Subject, SubjectError, Uniform
from veriformer.properties.formulas import scaled_variance
from veriformer.properties.loading import load
from veriformer.properties.preflight import preflight
from veriformer.properties.statistics import hoeffding_bound, kolmogorov_bound

V, D = 8000, 512

needs_keras = pytest.mark.skipif(find_spec("keras") is None, reason="it needs the extra keras")


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("reference", "unit_embedding"),
        ("keras.layers.Embedding", "keras_embedding"),
        ("keras.initializers.GlorotUniform", "glorot_embedding"),
    ],
)
def test_declared_law_is_the_one_on_the_page(address: str, result: str) -> None:
    (subject,) = load(address, contract="initializer")
    assert subject.entries is not None
    page = derivation("initialisation")
    due = page.results[result].subs({page.symbols["V"]: V, page.symbols["d"]: D})
    assert scaled_variance(subject.entries(V, D).variance, D) == pytest.approx(float(due))


@pytest.mark.parametrize("entries", [Uniform(0.3), Normal(0.3)])
def test_entries(entries: Uniform | Normal) -> None:
    x = torch.linspace(-1.5, 1.5, 30001, dtype=torch.float64)
    density = torch.diff(entries.below(x))
    middle = (x[1:] + x[:-1]) / 2
    assert float(density.sum()) == pytest.approx(1, abs=1e-5)
    assert float((density * middle).sum()) == pytest.approx(0, abs=1e-9)
    assert float((density * middle**2).sum()) == pytest.approx(entries.variance, rel=1e-4)
    assert entries.of_variance(7.0).variance == pytest.approx(7)
    assert entries.mean_square_p_value(entries.variance, 1000) > 0.9
    assert entries.mean_square_p_value(2 * entries.variance, 1000) < 1e-12
    growth = torch.logsumexp(density.log() + 4.0 * middle / entries.reach, 0)
    assert float(growth) <= 4.0**2 / 2 + 1e-6


def test_tail_bounds() -> None:
    assert kolmogorov_bound(0.1, 500) == pytest.approx(2 * math.exp(-10))
    assert hoeffding_bound(0.2, 500, width=2.0) == pytest.approx(2 * math.exp(-10))
    assert kolmogorov_bound(0.0, 500) == hoeffding_bound(0.0, 500, width=2.0) == 1


@pytest.mark.parametrize(
    ("call", "came"),
    [
        (lambda rows, columns, seed: torch.zeros(columns, rows), r"torch.float32 of shape \(4, 6\)"),
        (lambda rows, columns, seed: torch.zeros(rows, columns, dtype=torch.int64), r"torch.int64"),
        (lambda rows, columns, seed: [[0.0] * columns] * rows, "list"),
    ],
)
def test_what_is_no_table(call, came: str) -> None:
    subject = Subject(name="mine", contract="initializer", call=call)
    with pytest.raises(SubjectError, match=rf"^mine: f\(6, 4, 0\): expected a floating .* got {came}[^\n]*$"):
        preflight(subject, device="cpu", dtype="float64")


def _with_keras(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    loading = "from veriformer.properties.loading import load\n"
    environment = {**{k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}, **environment}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", loading + code],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )


@needs_keras
def test_backend_of_keras_is_set_for_its_import_alone() -> None:
    ended = _with_keras(
        "import os\ntable = load('keras.layers.Embedding', contract='initializer')[0](6, 4, 0)\n"
        "print(tuple(table.shape), os.environ.get('KERAS_BACKEND'))"
    )
    assert ended.stdout.split("\n")[0] == "(6, 4) None", ended.stderr


def test_another_backend_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = SimpleNamespace(config=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", loaded)
    (subject,) = load("keras.layers.Embedding", contract="initializer")
    with pytest.raises(SubjectError, match=r"^Keras: expected its torch backend, got 'jax'; set KERAS_BACKEND=torch"):
        subject(6, 4, 0)


@needs_keras
def test_backend_that_the_environment_names_is_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "veriformer.claims.command_line", "check", "keras.layers.Embedding"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("veriformer: keras.layers.Embedding: ")
    assert "expected its torch backend, got 'jax'; set KERAS_BACKEND=torch" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
