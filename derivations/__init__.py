"""Derivations: why each law must hold, on pages that people read and a machine checks.

from veriformer.derivations import derivation, names

page = derivation("score_variance")
page.results["variance"]  # the proved formula, a SymPy expression
page.check().ok           # runs the proof
print(page.text())        # reads it in a terminal
"""

from .markdown import PageError
from .page import Derivation, Report, StepReport, UnknownDerivation, derivation, names

__all__ = ["Derivation", "PageError", "Report", "StepReport", "UnknownDerivation", "derivation", "names"]
