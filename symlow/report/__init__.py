"""A derivation as one page: its equations, pictures, a learning run, its verification and its module.

page            the page from its sections, as HTML that asks nothing of any network
sections        the sections that are written for the page
runs            a learning run with pictures
matrices        the Gram matrix and the metric as pictures
charts          curves
figures         numbers as people read them
labels          short formulas in pictures
prose           the LaTeX document as HTML
mathml          its formulas as MathML
python_source   the generated module, read and coloured
markup          elements of HTML, MathML and SVG
"""

from symlow.report.page import report

__all__ = ["report"]
