"""A page for a terminal: one line of Unicode for a typeset one, and paragraphs without their marks."""

from __future__ import annotations

import re
import textwrap
import unicodedata

WIDTH = 78
WORDS = {
    "sum": "Σ", "partial": "∂", "infty": "∞", "to": "→", "le": "≤", "ge": "≥", "ne": "≠", "cdot": "·", "mid": "|",
    "in": "∈", "lVert": "‖", "rVert": "‖", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε",
    "varepsilon": "ε", "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ",
    "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "omega": "ω", "zeta": "ζ", "chi": "χ", "psi": "ψ",
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ",
    "Omega": "Ω", "ell": "ℓ", "prod": "Π", "int": "∫", "lvert": "|", "rvert": "|", "top": "ᵀ",
    "dots": "…", "ldots": "…", "approx": "≈", "times": "×", "pm": "±", "ll": "≪", "gg": "≫",
}  # fmt: skip
ACCENTS = {"bar": "\u0304", "hat": "\u0302", "tilde": "\u0303"}
POWERS = str.maketrans("0123456789+-n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ")
BRACED = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"  # an argument, with braces nested up to two deep


def plain(tex: str) -> str:
    r"""The line as Unicode: `\frac{a}{b}` becomes a/b, `x^2` becomes x²."""
    line = re.sub(r"\\(?:mathbb|mathrm)\{(\w+)\}\s*(?:\\[bB]ig)?", r"\1", tex)
    line = re.sub(r"\\(?:left|right|[bB]ig|qquad|quad)(?![A-Za-z])|\\[,;:! ]|\s+", " ", line)
    line = re.sub(r"\\(bar|hat|tilde)\s*(?:\\([A-Za-z]+)|(\w))", _accented, line)
    line = re.sub(r"\\partial\s+", "∂", line).replace(r"^\top", "ᵀ")
    line = re.sub(r"\\tfrac(\d)(\d)", r"\1/\2", line)
    line = re.sub(rf"\\frac{BRACED}{BRACED}", lambda m: f"{_part(m[1])}/{_part(m[2])}", line)
    line = re.sub(rf"\\sqrt{BRACED}", lambda m: f"√{_part(m[1])}", line)
    line = re.sub(r"\\([A-Za-z]+)", lambda m: WORDS.get(m[1], m[1]), line)
    line = re.sub(r"\^(\d)", lambda m: m[1].translate(POWERS), line)
    line = re.sub(rf"\^{BRACED}", lambda m: f"^({m[1]})", line)
    line = line.replace("{", "").replace("}", "").replace("-", "−")
    return re.sub(r"(?<=[(\[‖]) | (?=[)\],‖])", "", re.sub(r"\s+", " ", line)).strip()


def _accented(match: re.Match[str]) -> str:
    return (match[3] or WORDS.get(match[2], match[2])) + ACCENTS[match[1]]


def _part(tex: str) -> str:
    """A numerator or denominator, in brackets unless it is a single name or number."""
    return tex if re.fullmatch(r"[\\∂]*\w+", tex.strip()) else f"({tex})"


def plain_prose(markdown: str) -> str:
    """Markdown without its marks: inline mathematics in Unicode, links as their text."""
    text = re.sub(r"\$`([^`]*)`\$", lambda m: plain(m[1]), markdown)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\s+", " ", re.sub(r"\*\*|(?<!\w)\*|\*(?!\w)|`|</?\w+>", "", text)).strip()


def terminal_prose(markdown: str) -> list[str]:
    """Paragraphs, headings and tables for a terminal; what is folded away on the page is left out."""
    lines: list[str] = []
    shown = re.sub(r"<details>.*|</details>|^---$", "", markdown, flags=re.M)
    for paragraph in re.split(r"\n\s*\n", shown.strip()):
        if heading := re.match(r"(#+) (.*)", paragraph):
            title = plain_prose(heading[2])
            lines += [title, {1: "=", 2: "-"}.get(len(heading[1]), "·") * len(title), ""]
        elif paragraph.startswith("|"):
            lines += [*_table(paragraph), ""]
        elif paragraph:
            lines += [*wrapped(plain_prose(paragraph)), ""]
    return lines


def _table(markdown: str) -> list[str]:
    """The rows, without their heading in a table of symbols; the last column is wrapped, the others are not."""
    rows = [[plain_prose(cell) for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in markdown.splitlines()]
    del rows[1], rows[: len(rows[0]) == 2]
    widths = [2 + max(map(_width, column)) for column in zip(*rows, strict=True)][:-1]
    return [
        line
        for *cells, final in rows
        for line in textwrap.wrap(
            "".join(map(_padded, cells, widths)) + final, WIDTH, subsequent_indent=" " * sum(widths)
        )
    ]


def _width(text: str) -> int:
    """How many columns the text takes: an accent stands above the letter before it."""
    return sum(not unicodedata.combining(letter) for letter in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def wrapped(text: str, indent: str = "") -> list[str]:
    """The lines of a paragraph, each indented."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
