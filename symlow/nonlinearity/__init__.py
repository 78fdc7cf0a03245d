"""Nonlinearities and their Gaussian gains.

gaussian holds the rules for expectations in closed form, series the certified approximation of gains without one,
library the names that a specification can use, gain what the reduction needs of a nonlinearity.
"""

from symlow.nonlinearity.gain import DELTA, MU, Nonlinearity, X, nonlinearity
from symlow.nonlinearity.library import LIBRARY

__all__ = ["DELTA", "LIBRARY", "MU", "Nonlinearity", "X", "nonlinearity"]
