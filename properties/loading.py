"""Finding subjects: by a built-in name, by ``module:attribute``, or by ``path/to/file.py:attribute``."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from .contracts import CONTRACTS, SubjectError
from .subjects import Subject
from .trial import first_line

BUILT_IN: dict[str, str] = {
    "reference": "veriformer.claims.reference_subject:REFERENCE",
    "reference.additive_attention": "veriformer.claims.reference_subject:ADDITIVE_ATTENTION",
    "reference.bahdanau": "veriformer.claims.reference_subject:BAHDANAU",
    "torch.nn.functional.scaled_dot_product_attention": "veriformer.properties.adapters.torch_attention:SDPA",
    "torch.nn.MultiheadAttention": "veriformer.properties.adapters.torch_modules:MULTIHEAD_ATTENTION",
    "torch.nn.TransformerEncoder": "veriformer.properties.adapters.torch_modules:TRANSFORMER_ENCODER",
    "torch.nn.Transformer": "veriformer.properties.adapters.torch_modules:TRANSFORMER",
    "torch.nn.Dropout": "veriformer.properties.adapters.torch_modules:DROPOUT",
    "torch.nn.LayerNorm": "veriformer.properties.adapters.torch_norms:LAYER_NORM",
    "torch.nn.BatchNorm1d": "veriformer.properties.adapters.torch_norms:BATCH_NORM_1D",
    "torch.nn.BatchNorm2d": "veriformer.properties.adapters.torch_norms:BATCH_NORM_2D",
    "torch.nn.Sequential": "veriformer.properties.adapters.torch_modules:SEQUENTIAL",
    "torch.nn.Embedding": "veriformer.properties.adapters.torch_embedding:EMBEDDING",
    "torch.nested": "veriformer.properties.adapters.torch_nested:NESTED",
    "torch.nn.RNN": "veriformer.properties.adapters.torch_recurrent:RNN",
    "torch.nn.GRU": "veriformer.properties.adapters.torch_recurrent:GRU",
    "torch.nn.LSTM": "veriformer.properties.adapters.torch_recurrent:LSTM",
    "torch.nn.Embedding.reset_parameters": "veriformer.properties.adapters.torch_initializers:EMBEDDING_TABLE",
    "keras.layers.Embedding": "veriformer.properties.adapters.keras_embedding:EMBEDDING",
    "keras.initializers.GlorotUniform": "veriformer.properties.adapters.keras_embedding:GLOROT",
    "torch.optim.lr_scheduler.LambdaLR": "veriformer.claims.schedule_in_use:LAMBDA_LR",
    "transformers.BertModel": "veriformer.properties.adapters.huggingface_bert:BERT",
    "tokenizers": "veriformer.properties.adapters.huggingface_tokenizers:TOKENIZERS",
}
_VARIANTS = (
    "sliding_window",
    "dilated_window",
    "block_sparse",
    "linear_attention",
    "performer",
    "linformer",
    "nystromformer",
    "shared_query_key",
    "lsh_attention",
    "synthesizer",
    "fnet",
    "universal",
    "transformer_xl",
    "grouped_queries",
    "alibi",
    "rotary",
)
BUILT_IN |= {f"reference.variants.{name}": f"veriformer.claims.variants:VARIANTS.{name}" for name in _VARIANTS}
"""Names that stand for an address. The modules behind them are imported only when they are asked for."""


def load(address: str, *, contract: str | None = None) -> list[Subject]:
    """The subjects at ``address``; only those of ``contract``, if it is given.

    A bare function or class is taken as it is, if ``contract`` says what it is. Raises :class:`SubjectError`.
    """
    if contract is not None and contract not in CONTRACTS:
        raise SubjectError(f"expected a contract out of {', '.join(CONTRACTS)}; got {contract!r}")
    found = _resolve(BUILT_IN.get(address, address))
    subjects = found if isinstance(found, (list, tuple)) else [found]
    if len(subjects) == 1 and not isinstance(subjects[0], Subject):
        return [_declared(subjects[0], address, contract)]
    if not subjects:
        raise SubjectError(f"{address}: expected a Subject or a list of them, got an empty {type(found).__name__}")
    if others := [s for s in subjects if not isinstance(s, Subject)]:
        raise SubjectError(
            f"{address}: expected a list of Subjects alone, got one with {_kind(others[0])} in it; "
            "declare it with @subject"
        )
    chosen = [s for s in subjects if contract in (None, s.contract)]
    if not chosen:
        offered = ", ".join(s.contract for s in subjects)
        raise SubjectError(f"{address}: expected a subject of contract {contract}, it offers {offered}")
    return chosen


def _declared(found: Any, address: str, contract: str | None) -> Subject:
    if not callable(found):
        raise SubjectError(f"{address}: expected a Subject, or something to call; got {_kind(found)}")
    if contract is None:
        raise SubjectError(
            f"{address}: expected a Subject, got {_kind(found)}; say what it is: --contract NAME, or @subject(NAME)"
        )
    if CONTRACTS[contract].is_function:
        return Subject(name=address, contract=contract, call=found)
    return Subject(name=address, contract=contract, build=found)


def _kind(found: Any) -> str:
    name = type(found).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _resolve(address: str) -> Any:
    place, colon, attribute = address.rpartition(":")
    if not colon or not place or not attribute:
        if place.endswith(".py") or attribute.endswith(".py"):
            raise SubjectError(f"{address}: expected file.py:attribute; say which of its attributes is the subject")
        names = ", ".join(BUILT_IN)
        raise SubjectError(f"{address}: expected module:attribute, file.py:attribute, or one of {names}")
    module = _from_file(Path(place)) if place.endswith(".py") else _from_name(place)
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            offered = ", ".join(sorted(n for n, v in vars(module).items() if isinstance(v, Subject))) or "none"
            raise SubjectError(f"{place} has no attribute {attribute!r}; subjects declared there: {offered}") from error
        except Exception as error:  # some modules import their parts when they are asked for
            raise SubjectError(f"{address}: looking it up {raised(error)}") from error
    return found


_FILES: dict[Path, tuple[int, ModuleType]] = {}
"""The modules of files that have been run, each with the time of the file's last change: none is run twice."""


def raised(error: BaseException, *, with_place: bool = True) -> str:
    """What was raised, as words, and where in code that is not the suite's own."""
    told = f"raised {type(error).__name__}: {first_line(error)}"
    if isinstance(error, SyntaxError) or not with_place:  # it says where by itself
        return told
    others = (Path(__file__).parent, Path(sysconfig.get_path("stdlib")), Path(torch.__file__).parent)
    frames = [(Path(f.filename), f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    theirs = [(file, line) for file, line in frames if file.is_file() and not any(map(file.is_relative_to, others))]
    return f"{told} ({theirs[-1][0].name}, line {theirs[-1][1]})" if theirs else told


def _from_file(given: Path) -> ModuleType:
    path = Path(os.path.abspath(given))
    if not path.is_file():
        raise SubjectError(f"{given}: expected a Python file, and there is none; check the path")
    version = path.stat().st_mtime_ns
    if path in _FILES and _FILES[path][0] == version:
        return _FILES[path][1]
    name = f"veriformer_subject_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SubjectError(f"{given}: expected a Python file, got something that cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:  # as for a script; it stays there for what is imported when it is called
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise SubjectError(f"{given}: importing it {raised(error)}") from error
    _FILES[path] = (version, module)
    return module


def _from_name(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        absent = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
        hint = "; call from the folder that holds it, or give path/to/file.py:attribute" if absent else ""
        raise SubjectError(f"{name}: importing it {raised(error, with_place=not absent)}{hint}") from error


def address_of(subject: Subject) -> str:
    """Where ``subject`` can be found again: its built-in name, or the module and attribute that hold it."""
    if subject.name in BUILT_IN:
        return subject.name
    for name, module in list(sys.modules.items()):
        for attribute, value in list(vars(module).items()) if isinstance(module, ModuleType) else ():
            if value is subject or (type(value) is list and any(item is subject for item in value)):
                file = getattr(module, "__file__", None)
                return f"{_relative(Path(file))}:{attribute}" if file else f"{name}:{attribute}"
    return f"MODULE:{subject.name}"


def _relative(file: Path) -> Path:
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
