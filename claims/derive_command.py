"""``veriformer derive``: derivations in the terminal."""

from __future__ import annotations

from veriformer.derivations import derivation, names


def derive(name: str | None, *, check: bool) -> int:
    """Print one page with its checks, or what each page's checks give. Returns the exit status.

    Raises :class:`~veriformer.derivations.UnknownDerivation`.
    """
    if name is not None and not check:
        print(derivation(name).text())
        return 0
    if not check:
        for each in names():
            print(f"{each:26} {derivation(each).title}")
        print("\n`veriformer derive NAME` prints one; `veriformer derive --check` checks all.")
        return 0
    sound = [_verdict(each) for each in ([name] if name else names())]
    print(f"{sum(sound)} of {len(sound)} derivations check")
    return 0 if all(sound) else 1


def _verdict(name: str) -> bool:
    report = derivation(name).check()
    seconds = sum(step.seconds for step in report.steps)
    print(f"{name:26} {'checked' if report.ok else 'FAILS':8} {len(report.steps):3d} steps {seconds:6.1f} s")
    for step in report.steps:
        if not step.ok:
            print(f"    step {step.number}: {step.message}")
    return report.ok
