"""Matrix expressions as NumPy code that broadcasts over leading axes: products become ``@`` on the last two axes."""

from __future__ import annotations

from collections.abc import Mapping

import sympy
from sympy import MatAdd, MatMul, MatrixExpr, MatrixSymbol, Transpose
from sympy.matrices.expressions.special import Identity
from sympy.printing.pycode import PythonCodePrinter


class NumpyMatrixPrinter(PythonCodePrinter):
    """Print matrix expressions with given code for each symbol.

    Args:
        names: code by symbol name, such as ``{"Sigma_vu": "Sigma[..., V, U]", "dt": "DT"}``.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__({"fully_qualified_modules": False})
        self._code = dict(names)

    def _print_Symbol(self, symbol: sympy.Symbol) -> str:  # noqa: N802 - SymPy's printers dispatch on class names
        return self._code[symbol.name]

    def _print_MatrixSymbol(self, symbol: MatrixSymbol) -> str:  # noqa: N802
        return self._code[symbol.name]

    def _print_Identity(self, identity: Identity) -> str:  # noqa: N802
        return f"np.eye({identity.shape[0]})"

    def _print_Transpose(self, transpose: Transpose) -> str:  # noqa: N802
        return f"_transposed({self._print(transpose.arg)})"

    def _print_MatMul(self, product: MatMul) -> str:  # noqa: N802
        scalar, factors = product.as_coeff_matrices()
        matrices = " @ ".join(self._in_product(factor) for factor in factors)
        if scalar == 1:
            return matrices
        return f"-{matrices}" if scalar == -1 else f"({self._print(scalar)}) * {self._in_scaling(factors, matrices)}"

    def _print_MatAdd(self, total: MatAdd) -> str:  # noqa: N802
        return " + ".join(self._print(term) for term in total.args)

    def _in_product(self, factor: MatrixExpr) -> str:
        return f"({self._print(factor)})" if isinstance(factor, MatAdd) else self._print(factor)

    @staticmethod
    def _in_scaling(factors: list[MatrixExpr], matrices: str) -> str:
        # ``*`` and ``@`` have the same precedence in Python: without brackets the scaling would cost a pass more.
        return f"({matrices})" if len(factors) > 1 else matrices
