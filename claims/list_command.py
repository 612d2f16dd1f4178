"""``veriformer list``: the names that the other commands take."""

from __future__ import annotations

from collections.abc import Callable


def _properties() -> None:
    from veriformer.properties.laws import LAWS

    for law in LAWS.values():
        claims = f"  [{', '.join(law.claims)}]" if law.claims else ""
        print(f"{law.name}{claims}\n    {law.statement}\n    holds for: {', '.join(law.contracts)}")


def _claims() -> None:
    from .ledger import CLAIMS

    for claim in CLAIMS:
        print(f"{claim.id:13} {claim.text}")


def _subjects() -> None:
    from veriformer.properties.loading import BUILT_IN, load

    for name in BUILT_IN:
        print(f"{name}\n    {', '.join(subject.contract for subject in load(name))}")
    print("\nand your own: module:attribute, or path/to/file.py:attribute")


def _contracts() -> None:
    from veriformer.properties.contracts import CONTRACTS

    for contract in CONTRACTS.values():
        print(f"{contract.name}\n    {contract.signature}")
        for name, meaning in contract.features.items():
            print(f"      {name:24} {meaning}")


def _derivations() -> None:
    from .derive_command import derive

    derive(None, check=False)


_LISTS: dict[str, Callable[[], None]] = {
    "properties": _properties,
    "claims": _claims,
    "subjects": _subjects,
    "contracts": _contracts,
    "derivations": _derivations,
}


def list_all(what: str | None) -> int:
    """Print what there is of ``what``, or of everything. Returns the exit status."""
    for name, show in _LISTS.items():
        if what in (None, name):
            if what is None:
                print(f"── {name} " + "─" * (76 - len(name)))
            show()
            if what is None:
                print()
    return 0
