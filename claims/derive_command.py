"""``veriformer derive``: derivations in the terminal."""

from __future__ import annotations

import textwrap

from veriformer.derivations import Report, derivation, names
from veriformer.derivations.index import READING_ORDER, in_reading_order, reports


def derive(name: str | None, *, check: bool) -> int:
    """Print one page with its checks, or what each page's checks give. Returns the exit status.

    Raises :class:`~veriformer.derivations.UnknownDerivation`.
    """
    if name is not None and not check:
        print(derivation(name).text())
        return 0
    if not check:
        _contents()
        return 0
    sound = [_verdict(report) for report in ([derivation(name).check()] if name else reports(in_reading_order()))]
    print(f"{sum(sound)} of {len(sound)} derivations check")
    return 0 if all(sound) else 1


def _contents() -> None:
    width = 2 + max(map(len, names()))
    for heading, pages in READING_ORDER.items():
        print(heading)
        for each in pages:
            print(textwrap.fill(f"{each:{width}}{derivation(each).title}", 80, subsequent_indent=" " * width))
        print()
    print("`veriformer derive NAME` prints one; `veriformer derive --check` checks all.")


def _verdict(report: Report) -> bool:
    status = "checked" if report.ok else "FAILS"
    print(f"{report.name:26} {status:8} {len(report.steps):3d} checks {report.seconds:6.1f} s")
    for step in report.steps:
        if not step.ok:
            print(f"    {step.number}: {step.message}")
    return report.ok
