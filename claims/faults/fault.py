"""A fault, and how it is planted in a copy of the reference."""

from __future__ import annotations

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

REFERENCE = Path(veriformer.reference.__file__).parent


@dataclass(frozen=True)
class Fault:
    """``old``, which occurs exactly once in ``file`` of the reference, becomes ``new``.

    ``imitates`` says what the mistake is, and names the real bug where there is one. ``caught`` says by which laws, per
    contract.
    """

    name: str
    file: str
    old: str
    new: str
    imitates: str
    caught: Mapping[str, tuple[str, ...]] = field(hash=False)


def write_copy(folder: Path, fault: Fault | None = None) -> Path:
    """A copy of the reference in ``folder``, under a name of its own, with the fault planted. Returns its path.

    Raises ValueError where the old text does not occur exactly once: the reference has changed, the patch must follow.
    """
    package = folder / f"reference_with_{fault.name if fault else 'no_fault'}"
    shutil.copytree(REFERENCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if fault is not None:
        path = package / fault.file
        text = path.read_text()
        if (count := text.count(fault.old)) != 1:
            raise ValueError(f"{fault.name}: expected once in {fault.file}, found {count} times: {fault.old!r}")
        path.write_text(text.replace(fault.old, fault.new))
    return package


@contextmanager
def planted(fault: Fault) -> Iterator[ModuleType]:
    """The reference with the fault in it, imported afresh. Nothing of it is left afterwards."""
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
