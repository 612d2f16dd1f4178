"""A fault, and how it is planted in a copy of the reference, or of the adapter of another subject."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import veriformer.reference
from veriformer.properties import Subject
from veriformer.properties.loading import BUILT_IN

from ..reference_subject import subjects_of
from ..variants import VARIANT, variants_of

REFERENCE = Path(veriformer.reference.__file__).parent


@dataclass(frozen=True)
class Fault:
    """``old``, which occurs exactly once in ``file`` of the reference, becomes ``new``.

    ``on`` is the built-in name of what is broken. A variant, ``reference.variants.…``, is part of the reference; where
    it is anything else, ``file`` is the module that declares it.

    ``imitates`` says what the mistake is, and names the real bug where there is one. ``caught`` says by which laws, per
    contract.
    """

    name: str
    file: str
    old: str
    new: str
    imitates: str
    caught: Mapping[str, tuple[str, ...]] = field(hash=False)
    on: str = "reference"

    @property
    def in_reference(self) -> bool:
        """Whether it is planted in the package of the reference."""
        return self.on == "reference" or self.on.startswith(VARIANT)

    def applied(self, text: str) -> str:
        """``text`` with the fault in it. Raises ValueError where the old text does not occur exactly once."""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: expected once in {self.file}, found {count} times: {self.old!r}")
        return text.replace(self.old, self.new)


def write_copy(folder: Path, fault: Fault | None = None) -> Path:
    """A copy of the reference in ``folder``, under a name of its own, with the fault planted. Returns its path.

    Raises ValueError where the old text does not occur exactly once: the reference has changed, the patch must follow.
    """
    package = folder / f"reference_with_{fault.name if fault else 'no_fault'}"
    shutil.copytree(REFERENCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if fault is not None:
        path = package / fault.file
        path.write_text(fault.applied(path.read_text()))
    return package


@contextmanager
def planted(fault: Fault) -> Iterator[ModuleType]:
    """What the fault is planted in, with the fault in it, imported afresh. Nothing of it is left afterwards."""
    with _planted_in_reference(fault) if fault.in_reference else _planted_in_adapter(fault) as module:
        yield module


def subjects_with(fault: Fault, module: ModuleType) -> list[Subject]:
    """The subjects that ``module`` declares, as :func:`planted` gives it."""
    if fault.on == "reference":
        return subjects_of(module, name=fault.name)
    if fault.in_reference:
        return [variants_of(module)[fault.on.removeprefix(VARIANT)]]
    found = getattr(module, BUILT_IN[fault.on].partition(":")[2])
    return list(found) if isinstance(found, (list, tuple)) else [found]


@contextmanager
def _planted_in_adapter(fault: Fault) -> Iterator[ModuleType]:
    origin = importlib.import_module(BUILT_IN[fault.on].partition(":")[0])
    file = Path(str(origin.__file__))
    if file.name != fault.file:
        raise ValueError(f"{fault.name}: {fault.on} is declared in {file.name}, not in {fault.file}; correct the fault")
    module = ModuleType(f"{origin.__name__}_with_{fault.name}")
    module.__package__ = origin.__package__
    exec(compile(fault.applied(file.read_text(encoding="utf-8")), module.__name__, "exec"), vars(module))
    yield module


@contextmanager
def _planted_in_reference(fault: Fault) -> Iterator[ModuleType]:
    with tempfile.TemporaryDirectory() as folder:
        package = write_copy(Path(folder), fault)
        spec = importlib.util.spec_from_file_location(package.name, package / "__init__.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[package.name] = module
        try:
            spec.loader.exec_module(module)
            yield module
        finally:
            for name in [n for n in sys.modules if n == package.name or n.startswith(f"{package.name}.")]:
                del sys.modules[name]
