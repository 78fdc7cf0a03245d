r"""LaTeX text as HTML: ``\section*{Model} A network of $N$ neurons`` becomes a titled section with a paragraph.

A reader of what the templates of :mod:`symlow.printing` write: sections and subsections, paragraphs, formulas in the
line and displayed, tables, lists, and words in another face. Formulas become MathML (:mod:`symlow.report.mathml`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from symlow.report.markup import element, joined, scrolling
from symlow.report.mathml import mathml

COMMENT = re.compile(r"(?<!\\)%.*\n?")
SECTION = re.compile(r"\\section\*\{([^{}]*)\}")
SUBSECTION = re.compile(r"\\subsection\*\{([^{}]*)\}")
BLOCK = re.compile(
    r"\\begin\{(?P<equations>align\*|gather\*)\}.*?\\end\{(?P=equations)\}"
    r"|\\\[(?P<formula>.*?)\\\]"
    r"|\\begin\{center\}\s*\\begin\{tabular\}\{[lcr]*\}(?P<table>.*?)\\end\{tabular\}\s*\\end\{center\}"
    r"|\\begin\{itemize\}(?P<list>.*?)\\end\{itemize\}",
    re.DOTALL,
)
PHRASE = re.compile(
    r"(?P<before>[(\[]*)\$(?P<formula>[^$]*)\$(?P<after>[)\],.;:]*)"
    r"|\\(?P<face>textbf|textit|emph|texttt)\{(?P<words>(?:[^{}]|\\[{}])*)\}"
    r"|\\(?P<named>textbackslash|textasciitilde|textasciicircum|ldots)(?:\{\}|\b)"
    r"|\\(?P<escaped>[&%$#_{} ])"
    r"|(?P<tie>~)"
    r"|\\(?P<thin>[,;])"
)
FACES = {"textbf": "strong", "textit": "em", "emph": "em", "texttt": "code"}
NAMED = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "ldots": "…"}


@dataclass(frozen=True)
class Passage:
    """A section of a document.

    Attributes:
        title: its title, plain text.
        content: its HTML.
    """

    title: str
    content: Markup


def passages(document: str) -> tuple[Passage, ...]:
    """Return the sections of a LaTeX document, in their order, without what stands before the first."""
    parts = SECTION.split(COMMENT.sub("", document.partition(r"\end{document}")[0]))
    return tuple(Passage(_plain(title), _section(body)) for title, body in zip(parts[1::2], parts[2::2], strict=True))


def phrase(code: str) -> Markup:
    """Return a line of LaTeX text, with formulas in it, as HTML."""
    pieces: list[str] = []
    place = 0
    for match in PHRASE.finditer(code):
        pieces.append(_dashes(code[place : match.start()]))
        place = match.end()
        if match["formula"] is not None:
            formula = mathml(match["formula"])
            around = match["before"], match["after"]
            # A bracket or comma does not leave its formula at the end of a line.
            pieces.append(element("span", around[0], formula, around[1], class_="one") if any(around) else formula)
        elif match["face"]:
            pieces.append(element(FACES[match["face"]], phrase(match["words"])))
        elif match["named"]:
            pieces.append(NAMED[match["named"]])
        else:
            pieces.append("\u00a0" if match["tie"] else "\u2009" if match["thin"] else match["escaped"])
    return joined([*pieces, _dashes(code[place:])])


def _dashes(text: str) -> str:
    return text.replace("---", "—").replace("--", "–").replace("``", "“").replace("''", "”")


def _plain(title: str) -> str:
    return Markup(phrase(title)).striptags()


def _section(body: str) -> Markup:
    first, *rest = SUBSECTION.split(body)
    parts = [_blocks(first)]
    for title, content in zip(rest[::2], rest[1::2], strict=True):
        parts += [element("h3", phrase(title)), _blocks(content)]
    return joined(parts)


def _blocks(body: str) -> Markup:
    """Return paragraphs, and what stands between them."""
    pieces: list[Markup] = []
    place = 0
    for match in BLOCK.finditer(body):
        pieces += _paragraphs(body[place : match.start()])
        place = match.end()
        if match["table"] is not None:
            pieces.append(_table(match["table"]))
        elif match["list"] is not None:
            items = [item for item in match["list"].split(r"\item") if item.strip()]
            pieces.append(element("ul", *(element("li", phrase(item.strip())) for item in items)))
        else:
            code = match["formula"] if match["formula"] is not None else match[0]
            pieces.append(element("div", mathml(code, display=True), class_="equation"))
    return joined([*pieces, *_paragraphs(body[place:])])


def _paragraphs(text: str) -> Iterator[Markup]:
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.strip():
            yield element("p", phrase(" ".join(paragraph.split())))


def _table(code: str) -> Markup:
    lines = [line.replace(r"\hline", "").strip() for line in re.split(r"\\\\", code)]
    rows = [[phrase(cell.strip()) for cell in re.split(r"(?<!\\)&", line)] for line in lines if line]
    head = element("thead", element("tr", *(element("th", cell, scope="col") for cell in rows[0])))
    body = [
        element("tr", element("th", row[0], scope="row"), *map(_cell, row[1:]), class_=_kind(row)) for row in rows[1:]
    ]
    return scrolling(element("table", head, element("tbody", *body)), "Table")


def _cell(content: Markup) -> Markup:
    marked = element("span", content, class_=f"mark {content}") if content in KINDS else content
    return element("td", marked)


def _kind(row: list[Markup]) -> str | None:
    return next((str(cell) for cell in row if cell in KINDS), None)


KINDS = ("visible", "invisible")
"""What cells say of overlaps; they and their rows get classes of these names, for the colours."""
