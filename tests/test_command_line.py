"""``veriformer check | list | derive``: what is found, printed, written, replayed, and the exit status."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from veriformer.claims.command_line import main
from veriformer.derivations import names
from veriformer.properties import CONTRACTS, LAWS, Status
from veriformer.properties.engine import Result
from veriformer.properties.loading import BUILT_IN

FILES = {
    "neighbour.py": """
import math
import torch


def attention(query, key, value, is_causal=False, diagonal=0):
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(diagonal)
        scores = scores.masked_fill(~seen, -math.inf)
    return torch.softmax(scores, -1) @ value
""",
    "late_neighbour.py": "from torch.nn import Identity\n",
    "mine.py": """
import neighbour
from veriformer.properties import Subject


def bare(query, key, value):
    return neighbour.attention(query, key, value)


def leaky(query, key, value, is_causal=False):
    return neighbour.attention(query, key, value, is_causal, diagonal=1)


def build(config):
    from late_neighbour import Identity  # found when it is called, too

    return Identity()


GOOD = Subject(name="good", contract="attention", call=neighbour.attention)
LEAKY = Subject(name="leaky", contract="attention", call=leaky)
IDENTITY = Subject(name="identity", contract="normalization", build=build)
BOTH = [GOOD, LEAKY]
ALL = (GOOD, LEAKY, IDENTITY)


class Holder:
    inside = GOOD
""",
    "decorated.py": """
import neighbour
from veriformer.properties import Subject, subject  # in one line: the second name is that of a module, too


@subject("attention")
def kernel(query, key, value):
    return neighbour.attention(query, key, value)
""",
}


class Ended(NamedTuple):
    """How a call ended."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project: a folder, and in it one named ``deep`` that holds the files."""
    project = tmp_path_factory.mktemp("project")
    (project / "deep").mkdir()
    for name, content in FILES.items():
        (project / "deep" / name).write_text(content)
    return project


@pytest.fixture
def veriformer(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Calls the command line, in this process, from a folder of the project."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(arguments: str, *, folder: str = "deep") -> Ended:
        monkeypatch.chdir(project / folder)
        status = main(shlex.split(arguments))
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return call


def written(file: Path) -> tuple[dict[str, object], list[Result]]:
    data = json.loads(file.read_text())
    return data, [Result.from_data(result) for result in data["results"]]


DETERMINISM = "--property consistency.determinism --max-examples 2"

ADDRESSES = {
    "mine:GOOD": ("deep", ["good"]),
    "mine:BOTH": ("deep", ["good", "leaky"]),
    "mine:ALL": ("deep", ["good", "leaky", "identity"]),
    "mine:Holder.inside": ("deep", ["good"]),
    "mine.py:GOOD": ("deep", ["good"]),
    "./mine.py:IDENTITY": ("deep", ["identity"]),
    "deep/mine.py:GOOD": (".", ["good"]),
    "../deep/mine.py:GOOD": ("deep", ["good"]),
    "PROJECT/deep/mine.py:GOOD": (".", ["good"]),
    "mine.py:bare --contract attention": ("deep", ["mine.py:bare"]),
    "mine.py:build --contract feed_forward": ("deep", ["mine.py:build"]),
    "mine.py:ALL --contract normalization": ("deep", ["identity"]),
    "decorated.py:kernel": ("deep", ["kernel"]),
    "torch.nn:Identity --contract normalization": ("deep", ["torch.nn:Identity"]),
    "reference --contract attention": (".", ["reference"]),
    "torch.nn.functional.scaled_dot_product_attention": (".", ["torch.nn.functional.scaled_dot_product_attention"]),
    "torch.nn.MultiheadAttention": (".", ["torch.nn.MultiheadAttention"]),
}
"""What can be written for SUBJECT, from which folder, and the names of the subjects that are then checked."""


@pytest.mark.parametrize("address", ADDRESSES)
def test_subject_is_found(address: str, project: Path, tmp_path: Path, veriformer: Callable[..., Ended]) -> None:
    folder, found = ADDRESSES[address]
    subject = address.replace("PROJECT", str(project))
    ended = veriformer(f"check {subject} {DETERMINISM} --json {tmp_path}/out.json", folder=folder)
    assert (ended.status, ended.err) == (0, ""), ended
    data, results = written(tmp_path / "out.json")
    assert list(dict.fromkeys(r.subject for r in results)) == found
    assert Status.HELD in {r.status for r in results} <= {Status.HELD, Status.NOT_APPLICABLE}
    assert data["subject"] == subject.split()[0]


def test_decorator_in_a_process_of_its_own(project: Path) -> None:
    """As users meet it: nothing of the suite is loaded before their file."""
    code = "import decorated; print(type(decorated.kernel).__name__, decorated.kernel.name)"
    run = subprocess.run([sys.executable, "-c", code], cwd=project / "deep", capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["Subject", "kernel"], run.stderr


def test_file_is_run_once(veriformer: Callable[..., Ended], tmp_path: Path) -> None:
    file = tmp_path / "loud.py"
    file.write_text("print('imported')\nfrom veriformer.properties import Subject\n"
                    "X = Subject(name='x', contract='attention', call=lambda query, key, value: value)\n")  # fmt: skip
    ended = veriformer(f"check {file}:X {DETERMINISM}")
    assert ended.out.count("imported") == 1


# The report


def test_report_counts_add_up(veriformer: Callable[..., Ended], tmp_path: Path) -> None:
    ended = veriformer(f"check mine.py:BOTH --property causality.* --seed 0 --json {tmp_path}/out.json")
    assert ended.status == 1
    data, results = written(tmp_path / "out.json")
    counts = Counter(r.status for r in results)
    assert data["summary"] == {status.value: n for status, n in counts.items()}
    assert counts[Status.VIOLATED] > 0 < counts[Status.HELD]

    *_, last = ended.out.splitlines()
    told = {name: int(n) for n, name in re.findall(r"(\d+) ([a-z ]+)", last)}
    assert told["checks"] == len(results)
    assert {status: told[status.value] for status in Status} == {status: counts[status] for status in Status}
    assert told["applicable"] == told["run"] == len(results) - counts[Status.NOT_APPLICABLE]
    assert sum(counts.values()) == len(results)
    in_table = re.findall(r"^causality\.\w+ +(\d+) +(\d+) ", ended.out, re.MULTILINE)
    assert sum(int(paths) for paths, _ in in_table) == told["run"]
    ran = [r for r in results if r.status is not Status.NOT_APPLICABLE]
    assert sum(int(examples) for _, examples in in_table) == sum(r.examples for r in ran)


def test_results_round_trip(veriformer: Callable[..., Ended], tmp_path: Path) -> None:
    veriformer(f"check mine.py:BOTH --property causality.no_* --seed 0 --json {tmp_path}/out.json")
    data, results = written(tmp_path / "out.json")
    assert [result.to_data() for result in results] == data["results"]
    assert {"veriformer", "torch", "subject", "device", "dtype", "profile", "max_examples", "seed"} <= set(data)
    for result in results:
        assert (result.device, result.dtype, result.contract) == ("cpu", "float64", "attention")
        if result.status is Status.VIOLATED:
            assert result.token in result.message
            assert set(result.path) >= {"causal", "padding", "grad"}


def test_violation_teaches(veriformer: Callable[..., Ended]) -> None:
    ended = veriformer("check mine.py:LEAKY --property causality.no_future_influence --seed 0")
    assert ended.status == 1
    parts = re.findall(r"^  (law|subject|path|smallest|measured|where|likely|reproduce) ", ended.out, re.MULTILINE)
    assert parts == ["law", "subject", "path", "smallest", "measured", "where", "likely", "reproduce"]
    assert "the causal diagonal is off by one" in ended.out
    assert "also on    1 more path: causal=flag" in ended.out


def test_each_subject_of_a_list_has_its_rows_and_violations(veriformer: Callable[..., Ended]) -> None:
    ended = veriformer("check mine.py:BOTH --property causality.no_future_influence --seed 0")
    heads = re.findall(r"^(\w+) \(attention\) *$", ended.out, re.MULTILINE)
    assert heads == ["good", "leaky"]
    outcomes = re.findall(r"^causality.no_future_influence .* (\w+) *$", ended.out, re.MULTILINE)
    assert outcomes == ["held", "violated"]


def test_same_seed_same_results(veriformer: Callable[..., Ended], tmp_path: Path) -> None:
    def figures(name: str, seed: str) -> list[dict[str, object]]:
        veriformer(f"check mine.py:LEAKY --property *.[np]* {seed} --json {tmp_path}/{name}")
        return [{**result.to_data(), "seconds": 0} for result in written(tmp_path / name)[1]]

    assert figures("one.json", "--seed 3") == figures("two.json", "--seed 3")


def test_seed_is_drawn_and_told(veriformer: Callable[..., Ended], tmp_path: Path) -> None:
    ended = veriformer(f"check mine.py:GOOD {DETERMINISM} --json {tmp_path}/out.json")
    assert f"seed {written(tmp_path / 'out.json')[0]['seed']}" in ended.out


def test_html_is_what_was_printed(veriformer: Callable[..., Ended], tmp_path: Path) -> None:
    ended = veriformer(f"check mine.py:GOOD {DETERMINISM} --html {tmp_path}/out.html")
    page = (tmp_path / "out.html").read_text()
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert ended.out.splitlines()[-1] in page


def test_nothing_is_left_in_the_folder(project: Path, veriformer: Callable[..., Ended]) -> None:
    before = {p.name for p in (project / "deep").iterdir()} - {"__pycache__"}
    veriformer(f"check mine.py:GOOD {DETERMINISM}")
    assert {p.name for p in (project / "deep").iterdir()} - {"__pycache__"} == before


# Replay


def test_token_replays_the_measured_figure(veriformer: Callable[..., Ended]) -> None:
    found = veriformer("check mine.py:LEAKY --property causality.prefix_consistency --seed 0")
    (call,) = re.findall(r"^  reproduce  veriformer (.+)$", found.out, re.MULTILINE)
    again = veriformer(call)
    assert again.status == 1
    assert again.out.startswith("still violated\n")
    (measured,) = re.findall(r"^  measured .+$", found.out, re.MULTILINE)
    assert measured in again.out
    assert call in again.out


def test_token_that_holds_now(veriformer: Callable[..., Ended]) -> None:
    found = veriformer("check mine.py:LEAKY --property causality.prefix_consistency --seed 0")
    (token,) = re.findall(r"--replay (\S+)", found.out)
    mended = veriformer(f"check mine.py:GOOD --replay {token}")
    assert mended.status == 0
    assert mended.out.startswith("holds now: causality.prefix_consistency on path causal=flag")


def test_token_of_a_list_is_replayed_on_each_that_it_fits(veriformer: Callable[..., Ended]) -> None:
    found = veriformer("check mine.py:BOTH --property causality.prefix_consistency --seed 0")
    (token,) = re.findall(r"--replay (\S+)", found.out)
    again = veriformer(f"check mine.py:BOTH --replay {token}")
    assert again.status == 1
    assert "holds now of good" in again.out
    assert "still violated" in again.out


# list, derive and the rest

LISTED = {
    "properties": list(LAWS),
    "contracts": list(CONTRACTS),
    "subjects": list(BUILT_IN),
    "derivations": list(names()),
    "claims": ["Q01.1", "Q06.2"],
}


@pytest.mark.parametrize("what", LISTED)
def test_list(what: str, veriformer: Callable[..., Ended]) -> None:
    ended = veriformer(f"list {what}")
    assert (ended.status, ended.err) == (0, "")
    assert [name for name in LISTED[what] if name not in ended.out] == []


def test_list_of_everything(veriformer: Callable[..., Ended]) -> None:
    ended = veriformer("list")
    assert ended.status == 0
    assert [name for names in LISTED.values() for name in names if name not in ended.out] == []


def test_derive_names_them(veriformer: Callable[..., Ended]) -> None:
    ended = veriformer("derive")
    assert ended.status == 0
    assert [name for name in names() if f"\n{name} " not in f"\n{ended.out}"] == []


def test_derive_prints_one(veriformer: Callable[..., Ended]) -> None:
    ended = veriformer("derive score_variance")
    assert ended.status == 0
    assert "d_k" in ended.out


def test_derive_checks_one(veriformer: Callable[..., Ended]) -> None:
    ended = veriformer("derive score_variance --check")
    assert ended.status == 0
    assert re.search(r"^score_variance +checked +\d+ checks", ended.out)
    assert ended.out.endswith("1 of 1 derivations check\n")


@pytest.mark.parametrize("arguments", ["--help", "check --help", "claims --help", "--version"])
def test_help_ends_well(arguments: str, veriformer: Callable[..., Ended]) -> None:
    with pytest.raises(SystemExit) as ended:
        veriformer(arguments)
    assert ended.value.code == 0


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys\nfrom veriformer.claims.command_line import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit('torch' in sys.modules or 'sympy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGPIPE")
def test_closed_pipe_is_no_error() -> None:
    command = shutil.which("veriformer", path=str(Path(sys.executable).parent))
    ended = subprocess.run(
        f"{command} list contracts | head -1", shell=True, capture_output=True, text=True, timeout=60
    )
    assert (ended.stdout, ended.stderr) == (f"{next(iter(CONTRACTS))}\n", "")
