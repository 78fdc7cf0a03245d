r"""The letters and signs of LaTeX's math mode in Unicode: ``\phi`` is U+03D5."""

from __future__ import annotations

from string import ascii_uppercase, digits

GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ϵ",
    "varepsilon": "ε",
    "zeta": "ζ",
    "eta": "η",
    "theta": "θ",
    "vartheta": "ϑ",
    "iota": "ι",
    "kappa": "κ",
    "varkappa": "ϰ",
    "lambda": "λ",
    "mu": "μ",
    "nu": "ν",
    "xi": "ξ",
    "omicron": "ο",
    "pi": "π",
    "varpi": "ϖ",
    "rho": "ρ",
    "varrho": "ϱ",
    "sigma": "σ",
    "varsigma": "ς",
    "tau": "τ",
    "upsilon": "υ",
    "phi": "ϕ",
    "varphi": "φ",
    "chi": "χ",
    "psi": "ψ",
    "omega": "ω",
}

CAPITALS = {
    "Gamma": "Γ",
    "Delta": "Δ",
    "Theta": "Θ",
    "Lambda": "Λ",
    "Xi": "Ξ",
    "Pi": "Π",
    "Sigma": "Σ",
    "Upsilon": "Υ",
    "Phi": "Φ",
    "Psi": "Ψ",
    "Omega": "Ω",
    "nabla": "∇",
    "top": "⊤",
    "infty": "∞",
}
"""What is upright in TeX."""

FUNCTIONS = (
    *("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "arcsin", "arccos", "arctan"),
    *("exp", "log", "ln", "lg", "arg", "dim", "ker", "deg", "min", "max", "sup", "inf", "lim", "det"),
)

SYMBOLS = {
    "partial": ("∂", "ord"),
    "ell": ("ℓ", "ord"),
    "hbar": ("ℏ", "ord"),
    "imath": ("ı", "ord"),
    "Re": ("ℜ", "ord"),
    "Im": ("ℑ", "ord"),
    "ldots": ("…", "ord"),
    "dots": ("…", "ord"),
    "cdots": ("⋯", "ord"),
    "vdots": ("⋮", "ord"),
    "ddots": ("⋱", "ord"),
    "emptyset": ("∅", "ord"),
    "prime": ("′", "ord"),
    "sum": ("∑", "sum"),
    "prod": ("∏", "sum"),
    "int": ("∫", "integral"),
    "to": ("→", "relation"),
    "rightarrow": ("→", "relation"),
    "mapsto": ("↦", "relation"),
    "sim": ("∼", "relation"),
    "approx": ("≈", "relation"),
    "equiv": ("≡", "relation"),
    "propto": ("∝", "relation"),
    "in": ("∈", "relation"),
    "le": ("≤", "relation"),
    "leq": ("≤", "relation"),
    "ge": ("≥", "relation"),
    "geq": ("≥", "relation"),
    "ne": ("≠", "relation"),
    "neq": ("≠", "relation"),
    "lt": ("<", "relation"),
    "gt": (">", "relation"),
    "mid": ("∣", "relation"),
    "times": ("×", "operation"),
    "cdot": ("⋅", "operation"),
    "odot": ("⊙", "operation"),
    "otimes": ("⊗", "operation"),
    "oplus": ("⊕", "operation"),
    "circ": ("∘", "operation"),
    "ast": ("∗", "operation"),
    "wedge": ("∧", "operation"),
    "vee": ("∨", "operation"),
    "pm": ("±", "binary"),
    "mp": ("∓", "binary"),
}
"""Other signs, each with the kind of atom that it is."""

OPEN = {"(": "(", "[": "[", "{": "{", "lVert": "‖", "lvert": "|", "langle": "⟨", "lfloor": "⌊", "lceil": "⌈"}
CLOSE = {")": ")", "]": "]", "}": "}", "rVert": "‖", "rvert": "|", "rangle": "⟩", "rfloor": "⌋", "rceil": "⌉"}
EITHER = {"|": "|", "Vert": "‖", ".": "", "/": "/"}
"""Delimiters, by their commands or characters."""

BOLD = {
    **{letter: chr(0x1D400 + k) for k, letter in enumerate(ascii_uppercase)},
    **{letter.lower(): chr(0x1D41A + k) for k, letter in enumerate(ascii_uppercase)},
    **{digit: chr(0x1D7CE + k) for k, digit in enumerate(digits)},
}

DOUBLE_STRUCK = {
    **{letter: chr(0x1D538 + k) for k, letter in enumerate(ascii_uppercase)},
    **dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
}

CALLIGRAPHIC = {
    **{letter: chr(0x1D49C + k) for k, letter in enumerate(ascii_uppercase)},
    **dict(zip("BEFHILMR", "ℬℰℱℋℐℒℳℛ", strict=True)),
}
"""Alphabets, whose letters before they were many in Unicode have places of their own."""
