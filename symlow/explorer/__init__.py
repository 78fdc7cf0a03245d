"""The live explorer: two networks that learn in a page, from overlaps that sliders set.

    Sigma+ = K^T Sigma K,  K = 1 - 2 lr S D,        computed in the browser by the generated JavaScript

The networks share their loss-visible overlaps, hence their function; the loss-invisible ones of the second, the twin,
have sliders of their own. Sliders stay within the cone of positive semidefinite Gram matrices.
"""

from symlow.explorer.fragment import explorer_fragment, explorer_page

__all__ = ["explorer_fragment", "explorer_page"]
