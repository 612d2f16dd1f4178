"""Bad input: each call that cannot be carried out gives one clear line on stderr, and exit status 2."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from veriformer.claims.command_line import main
from veriformer.properties import LAWS, Subject, SubjectError
from veriformer.properties.case import Case
from veriformer.properties.loading import load
from veriformer.properties.violation import Token

FILES = {
    "kernels.py": """
import math
import torch
from veriformer.properties import Sizes, Subject


def attention(query, key, value):
    return torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), -1) @ value


def kernel(name, call, **declared):
    return Subject(name=name, contract="attention", call=call, **declared)


def module(name, build):
    return Subject(name=name, contract="self_attention", build=build)


def fail(error):
    raise error


GOOD = kernel("good", attention)
WRONG_SHAPE = kernel("wrong_shape", lambda query, key, value: attention(query, key, value)[:, :, :-1])
FLOAT32 = kernel("float32", lambda query, key, value: attention(query, key, value).float())
INTEGER = kernel("integer", lambda query, key, value: attention(query, key, value).long())
NOTHING = kernel("nothing", lambda query, key, value: None)
PAIR = kernel("pair", lambda query, key, value: (attention(query, key, value), None))
ARRAY = kernel("array", lambda query, key, value: attention(query, key, value).detach().numpy())
NOT_A_NUMBER = kernel("not_a_number", lambda query, key, value: attention(query, key, value) * math.nan)
RAISES = kernel("raises", lambda query, key, value: fail(ValueError("no such thing\\nand more")))
EXITS = kernel("exits", lambda query, key, value: fail(SystemExit(0)))
NO_MEMORY = kernel("no_memory", lambda query, key, value: fail(MemoryError("it is full")))
TWO_ARGUMENTS = kernel("two_arguments", lambda query, key: query)
NO_WEIGHTS = kernel("no_weights", lambda query, key, value, need_weights=False: attention(query, key, value))
NO_SIZES = kernel("no_sizes", attention, sizes=Sizes(length=()))

BUILDS_NOTHING = module("builds_nothing", lambda config: None)
BUILD_RAISES = module("build_raises", lambda config: fail(ValueError("no such size")))
BUILD_EXITS = module("build_exits", lambda config: fail(SystemExit(0)))
BUILD_OF_NOTHING = module("build_of_nothing", lambda: torch.nn.Identity())
IDENTITY = module("identity", lambda config: torch.nn.Identity())
NO_TABLE = Subject(name="no_table", contract="embedding", build=lambda c: torch.nn.Embedding(c.vocab_size, c.d_model))

NUMBER, EMPTY, MIXED = 3, [], [GOOD, 3]
""",
    "broken_syntax.py": "def f(:\n",
    "exits_at_import.py": "import sys\nsys.exit(7)\n",
    "raises_at_import.py": "\nraise RuntimeError('not on a Sunday\\nnor on a Monday')\n",
    "lacks_a_module.py": "import no_such_module_anywhere\n",
    "no_text.toml": b"\xff\xfe\x00",
}


class Ended(NamedTuple):
    """How a call ended."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("users")
    for name, content in FILES.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.fixture
def veriformer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Ended]:
    """Calls the command line from the folder with the files, in this process."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(arguments: str) -> Ended:
        status = main(shlex.split(arguments))
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return call


def token_of(law: str, *, contract: str = "attention", **path: str) -> str:
    """The token of a small case of ``law``."""
    axes = {"over": "x", "padding": "absent", "causal": "off", "weights": "no", "mode": "eval", "grad": "on"}
    case = Case(batch=1, length=2, memory_length=1, n_heads=1, groups=1, d_k=1, n_layers=1)
    return Token(law, contract, {**axes, "scale": "default", **path}, "cpu", "float64", case).encode()


GENUINE = token_of("consistency.determinism")
TOKENS = {
    "{genuine}": GENUINE,
    "{truncated}": GENUINE[:-9],
    "{mistyped}": GENUINE.replace("e", "f"),
    "{of_no_law}": token_of("nosuch.law"),
    "{with_padding}": token_of("consistency.determinism", padding="right"),
}

CALLS: dict[str, list[str]] = {
    # where the subject is
    "check nosuch": [
        "nosuch: expected module:attribute, file.py:attribute, or one of reference, reference.additive_attention"
    ],
    "check nosuch:thing": ["nosuch", "ModuleNotFoundError", "call from the folder that holds it"],
    "check nosuch.py:thing": ["nosuch.py: expected a Python file, and there is none; check the path"],
    "check kernels.py": ["kernels.py: expected file.py:attribute"],
    "check kernels.py:nosuch": ["kernels.py has no attribute 'nosuch'; subjects declared there: ARRAY, BUILDS_NOTHING"],
    "check kernels:nosuch": ["kernels has no attribute 'nosuch'; subjects declared there: ARRAY, BUILDS_NOTHING"],
    "check broken_syntax.py:X": ["SyntaxError", "(broken_syntax.py, line 1)"],
    "check exits_at_import.py:X": ["importing it raised SystemExit: 7 (exits_at_import.py, line 2)"],
    "check exits_at_import:X": ["importing it raised SystemExit: 7 (exits_at_import.py, line 2)"],
    "check raises_at_import.py:X": ["RuntimeError: not on a Sunday (raises_at_import.py, line 2)"],
    "check lacks_a_module.py:X": ["No module named 'no_such_module_anywhere' (lacks_a_module.py, line 1)"],
    # what it is
    "check kernels.py:NUMBER": ["kernels.py:NUMBER: expected a Subject, or something to call; got an int"],
    "check kernels.py:EMPTY": ["expected a Subject or a list of them, got an empty list"],
    "check kernels.py:MIXED": ["expected a list of Subjects alone, got one with an int in it"],
    "check kernels.py:attention": ["expected a Subject, got a function", "--contract NAME, or @subject(NAME)"],
    "check kernels.py:GOOD --contract encoder": ["expected a subject of contract encoder, it offers attention"],
    "check kernels.py:attention --contract self_attention": ["build(config) raised TypeError", "build(config) → m"],
    # what it does when it is called
    "check kernels.py:WRONG_SHAPE": [
        "wrong_shape: called plainly",
        "expected an output (batch, heads, query, d_k) of shape (2, 2, 3, 4), got (2, 2, 2, 4)",
    ],
    "check kernels.py:FLOAT32": ["float32: called plainly", "expected an output of torch.float64, got torch.float32"],
    "check kernels.py:INTEGER": ["integer: called plainly", "expected an output of torch.float64, got torch.int64"],
    "check kernels.py:NOTHING": ["nothing: called plainly", "expected a torch.Tensor, got NoneType"],
    "check kernels.py:PAIR": ["expected a torch.Tensor, got tuple; return the output alone unless need_weights=True"],
    "check kernels.py:ARRAY": ["expected a torch.Tensor, got ndarray"],
    "check kernels.py:NOT_A_NUMBER": ["called plainly on finite inputs", "got NaN or infinity"],
    "check kernels.py:RAISES": ["called plainly: raised ValueError: no such thing (kernels.py, line", "mend it"],
    "check kernels.py:EXITS": ["called plainly: raised SystemExit: 0 (kernels.py, line", "mend it"],
    "check kernels.py:NO_MEMORY": ["called plainly: ran out of memory: MemoryError: it is full"],
    "check kernels.py:TWO_ARGUMENTS": ["2 positional arguments but 3 were given", "f(query, key, value) → output"],
    "check kernels.py:NO_WEIGHTS": ["called with weights=yes", "expected a pair (output, weights), got Tensor"],
    "check kernels.py:NO_SIZES": ["no_sizes: sizes: length: expected one or more numbers above 0"],
    "check kernels.py:BUILDS_NOTHING": ["build(config): expected something to call, got NoneType"],
    "check kernels.py:NO_TABLE": ["no_table: called plainly: build(config): expected something with embed; add it:"],
    "check kernels.py:BUILD_RAISES": ["build(config) raised ValueError: no such size (kernels.py, line", "mend it"],
    "check kernels.py:BUILD_EXITS": ["build(config) raised SystemExit: 0 (kernels.py, line", "mend it"],
    "check kernels.py:BUILD_OF_NOTHING": ["build(config) raised TypeError", "takes 0 positional arguments but 1"],
    # names
    "check kernels.py:GOOD --contract nosuch": ["--contract: expected one of attention, self_attention", "'nosuch'"],
    "check kernels.py:GOOD --property nosuch*": ["--property: expected a glob over law names", "'nosuch*'"],
    "check kernels.py:GOOD --claim Q99.9": ["--claim", "Q99.9"],
    "check kernels.py:GOOD --device tpu": ["--device: expected cpu or cuda; got 'tpu'"],
    "check kernels.py:GOOD --dtype int8": ["--dtype: expected one of float64, float32, bfloat16, float16; got 'int8'"],
    "check kernels.py:GOOD --profile big": ["--profile: invalid choice: 'big'", "`veriformer check --help`"],
    "derive nosuch": ["no derivation is called 'nosuch'; there are", "score_variance"],
    "derive --check nosuch": ["no derivation is called 'nosuch'; there are", "score_variance"],
    "list nosuch": ["invalid choice: 'nosuch'", "properties", "claims", "subjects", "contracts"],
    "nosuch": ["invalid choice: 'nosuch'", "claims", "check", "derive", "list", "`veriformer --help`"],
    "claims Q99": ["Q99"],
    "": ["required: claims | check | derive | measure | list"],
    "check": ["required: SUBJECT", "`veriformer check --help` shows the call"],
    # filters that leave nothing
    "check kernels.py:IDENTITY --property softmax.*": ["expected a law of its contract, and none of softmax.jacobian"],
    "check kernels.py:GOOD --property causality.*": ["expected a law that applies, and none of those chosen does"],
    # numbers
    "check kernels.py:GOOD --max-examples 0": ["--max-examples: expected a number of at least 1; got 0"],
    "check kernels.py:GOOD --max-examples x": ["--max-examples: invalid int value: 'x'"],
    "check kernels.py:GOOD --strength 0": ["--strength: expected a number of at least 1; got 0"],
    "check kernels.py:GOOD --time-limit 0": ["--time-limit: expected a number of seconds", "got 0"],
    "check kernels.py:GOOD --time-limit nan": ["--time-limit: expected a number of seconds", "got nan"],
    "check kernels.py:GOOD --time-limit inf": ["--time-limit: expected a number of seconds", "got inf"],
    # files
    "check kernels.py:GOOD --json nosuch/out.json": ["--json nosuch/out.json: expected a file in a folder that exists"],
    "check kernels.py:GOOD --html nosuch/out.html": ["--html nosuch/out.html: expected a file in a folder that exists"],
    "check kernels.py:GOOD --json .": ["--json .: expected a file that can be written"],
    "claims --json nosuch/out.json": ["--json nosuch/out.json: expected a file in a folder that exists"],
    "check kernels.py:GOOD --expect nosuch.toml": [
        "nosuch.toml: expected a TOML file of expected violations",
        "No such",
    ],
    "check kernels.py:GOOD --expect kernels.py": ["kernels.py: expected a TOML file of expected violations"],
    "check kernels.py:GOOD --expect no_text.toml": ["no_text.toml: expected a TOML file of expected violations"],
    # replay tokens
    "check kernels.py:GOOD --replay nonsense": ["expected a replay token that begins with vf1., got 'nonsense'"],
    "check kernels.py:GOOD --replay vf2.eNo1": ["expected a replay token that begins with vf1., got 'vf2.eNo1'"],
    "check kernels.py:GOOD --replay vf1.": ["the replay token is damaged", "copy it whole"],
    "check kernels.py:GOOD --replay {truncated}": ["the replay token is damaged", "copy it whole"],
    "check kernels.py:GOOD --replay {mistyped}": ["the replay token is damaged", "copy it whole"],
    "check kernels.py:GOOD --replay {of_no_law}": ["expected a token of a law that exists; 'nosuch.law' does not"],
    "check kernels.py:IDENTITY --replay {genuine}": ["expected a subject of contract attention"],
    "check kernels.py:GOOD --replay {with_padding}": [
        "expected a token found on kernels.py:GOOD; consistency.determinism is not tried there on path",
        "padding=right",
    ],
}


@pytest.mark.parametrize("call", CALLS, ids=[f"veriformer {call}".strip() for call in CALLS])
def test_one_line_and_status_2(call: str, veriformer: Callable[[str], Ended]) -> None:
    arguments = call
    for name, token in TOKENS.items():
        arguments = arguments.replace(name, token)
    ended = veriformer(arguments)
    assert ended.status == 2, ended
    assert ended.err.startswith("veriformer: ")
    assert len(ended.err.splitlines()) == 1
    assert [words for words in CALLS[call] if words not in ended.err] == [], ended.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_device_that_is_not_there(veriformer: Callable[[str], Ended]) -> None:
    ended = veriformer("check kernels.py:GOOD --device cuda")
    assert ended.status == 2
    assert ended.err.startswith("veriformer: --device cuda: there is none that torch")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_is_read_only(veriformer: Callable[[str], Ended], tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    ended = veriformer(f"check kernels.py:GOOD --json {tmp_path}/out.json")
    assert ended.status == 2
    assert "expected a file that can be written" in ended.err


def test_output_file_is_not_touched_by_a_call_that_fails(veriformer: Callable[[str], Ended], tmp_path: Path) -> None:
    ended = veriformer(f"check nosuch:thing --json {tmp_path}/out.json")
    assert ended.status == 2
    assert list(tmp_path.iterdir()) == []


def test_defect_of_our_own_is_no_verdict(veriformer: Callable[[str], Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veriformer.claims.list_command.list_all", lambda what: 1 / 0)
    ended = veriformer("list")
    assert ended.status == 3
    assert "ZeroDivisionError" in ended.err
    assert "a defect of veriformer itself" in ended.err


def test_no_traceback_through_the_real_door(folder: Path) -> None:
    command = [sys.executable, "-m", "veriformer.claims.command_line", "check", "kernels.py:WRONG_SHAPE"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert "got (2, 2, 2, 4)" in ended.stderr


def test_load_raises_the_same_line(folder: Path) -> None:
    with pytest.raises(SubjectError, match="expected a Subject, got a function; say what it is: --contract NAME"):
        load(f"{folder}/kernels.py:attention")


def _kernel(**declared: object) -> Callable[[], Subject]:
    fields = {"name": "mine", "contract": "attention", "call": lambda query, key, value: value, **declared}
    return lambda: Subject(**fields)


DECLARATIONS = {
    "contract='nosuch'": (_kernel(contract="nosuch"), "mine: expected a contract out of attention,"),
    "call=None": (_kernel(call=None), "mine: expected exactly one of call= "),
    "build=and_call=": (_kernel(build=lambda config: None), "mine: expected exactly one of call= "),
    "features={'msak'}": (_kernel(features={"msak"}), "expected some of mask, is_causal, .*; got .'msak'."),
    "dtypes=['int8']": (_kernel(dtypes=["int8"]), "mine: dtypes: expected some of float64, .*; got .'int8'."),
    "fully_masked='one'": (_kernel(fully_masked="one"), "fully_masked: expected zero, nan or undefined; got 'one'"),
    "blocks=…,norm=None": (_kernel(blocks=lambda built: None), "norm=, of blocks=: expected pre, post, .* got None"),
    "paths={'backend':'math'}": (_kernel(paths={"backend": "math"}), "backend: expected a sequence of one or more"),
}


@pytest.mark.parametrize(("declare", "words"), DECLARATIONS.values(), ids=list(DECLARATIONS))
def test_declaration_that_does_not_fit(declare: Callable[[], Subject], words: str) -> None:
    with pytest.raises(SubjectError, match=words):
        declare()


def test_the_laws_named_above_exist() -> None:
    assert {"consistency.determinism", "softmax.jacobian"} <= set(LAWS)
