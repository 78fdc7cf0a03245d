"""The parts of the report by hand: formulas, labels, matrices, charts and coloured source."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import sympy
from markupsafe import Markup

from symlow.formulas import runs
from symlow.printing.notation import Notation
from symlow.report.charts import BOTTOM, HIGH, LEFT, Chart, Curve, Scale
from symlow.report.figures import figure, figures_in, tick_label
from symlow.report.labels import SIZE, label, width
from symlow.report.markup import element
from symlow.report.mathml import mathml
from symlow.report.matrices import Grid, gram_picture, metric_picture
from symlow.report.prose import passages, phrase
from symlow.report.python_source import coloured, public_functions
from tests.conftest import EXPONENTIAL, derived

GENERATED = sorted((Path(__file__).parents[1] / "generated").glob("*/*.tex"))


def test_elements_escape_what_is_not_markup():
    inside = element("b", "<&>", class_='a"b<', aria_label=None, data_x=1)
    assert inside == '<b class="a&#34;b&lt;" data-x="1">&lt;&amp;&gt;</b>'
    assert element("i", inside, " & ") == f"<i>{inside} &amp; </i>"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (r"\frac{a}{2}", "<mfrac><mi>a</mi><mn>2</mn></mfrac>"),
        (r"x_{1}^2", "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>"),
        ("x^12", "<mrow><msup><mi>x</mi><mn>1</mn></msup><mn>2</mn></mrow>"),
        ("f'", "<msup><mi>f</mi><mo>′</mo></msup>"),
        (r"\sqrt[3]{x}", "<mroot><mi>x</mi><mn>3</mn></mroot>"),
        (r"\mathrm{d}t", '<mrow><mi mathvariant="normal">d</mi><mi>t</mi></mrow>'),
        (r"\mathbf{1}_E", '<msub><mi mathvariant="normal">𝟏</mi><mi>E</mi></msub>'),
        (r"\Sigma\sigma", '<mrow><mi mathvariant="normal">Σ</mi><mi>σ</mi></mrow>'),
        (r"\phi\varphi", "<mrow><mi>ϕ</mi><mi>φ</mi></mrow>"),
        (
            r"\sum_{t,o} w",
            '<mrow><munder><mo>∑</mo><mrow><mi>t</mi><mo separator="true">,</mo><mi>o</mi></mrow></munder>'
            "<mi>w</mi></mrow>",
        ),
        (r"\text{a }b", "<mrow><mtext>a\u00a0</mtext><mi>b</mi></mrow>"),
        (r"\exp x", '<mrow><mi>exp</mi><mspace width="0.167em"></mspace><mi>x</mi></mrow>'),
        ("a-b", '<mrow><mi>a</mi><mo form="infix">−</mo><mi>b</mi></mrow>'),
        ("=-b", '<mrow><mo>=</mo><mo form="prefix" lspace="0" rspace="0">−</mo><mi>b</mi></mrow>'),
        (r"\unheard x", '<mrow><mtext class="unknown">\\unheard</mtext><mi>x</mi></mrow>'),
        ("a<b", "<mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow>"),
        ("", "<mrow></mrow>"),
    ],
)
def test_formulas(code, expected):
    assert mathml(code) == f"<math>{expected}</math>"


def test_matrices_and_lines_keep_their_places():
    root = ElementTree.fromstring(mathml(r"\begin{pmatrix}a & 0\\ 1 & b_2\end{pmatrix}"))
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("mtr")]
    assert rows == [["a", "0"], ["1", "b2"]]
    root = ElementTree.fromstring(mathml("\\begin{align*}\na &= b \\\\\n&\\quad - c\n\\end{align*}", display=True))
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("mtr")]
    assert rows == [["a", "=b"], ["", "−c"]]
    assert root.find(".//mo[@form='infix']").text == "−"  # goes on from the line before
    root = ElementTree.fromstring(mathml(r"\left(\begin{array}{cc}a & b \\ \hline c & d \\\end{array}\right)"))
    assert [row.get("class") for row in root.iter("mtr")] == [None, "ruled"]


def test_delimiters_grow_about_what_is_tall_and_not_about_letters():
    for code, grows in ((r"\left(\frac{a}{b}\right)", "true"), (r"\left(a_1\right)", "false"), ("(a)", "false")):
        fences = list(ElementTree.fromstring(mathml(code)).iter("mo"))
        assert [(fence.text, fence.get("stretchy")) for fence in fences] == [("(", grows), (")", grows)]


GREEK = {"phi": "GREEK PHI SYMBOL", "epsilon": "GREEK LUNATE EPSILON SYMBOL"}
"""Letters whose LaTeX names are those of variants in Unicode."""

SILENT = (
    r"begin|end|left|right|frac|tfrac|sqrt|mathrm|mathbf|mathbb|mathcal|operatorname|text|bar|dot|hat|bigl|bigr|quad|"
    "qquad|hline"
)


def letters_of(latex):
    """The letters and digits of a formula, sorted: what it prints but for signs, by a reading without any grammar."""
    code = re.sub(r"\\(?:begin|end)\{[a-z*]+\}(?:\{c+\})?", "", latex)
    code = re.sub(rf"\\(?:{SILENT})(?![A-Za-z])|\\[^A-Za-z]", " ", code)
    found = []
    for command, character in re.findall(r"\\([A-Za-z]+)|(\w)", code.replace("_", " ")):
        size = "CAPITAL" if command[:1].isupper() else "SMALL"
        name = GREEK.get(command) or f"GREEK {size} LETTER {command.removeprefix('var').upper()}"
        try:
            found += unicodedata.lookup(name.replace("LAMBDA", "LAMDA")) if command else character
        except KeyError:
            found += command if command in ("exp", "tanh", "cos", "min", "max", "ln", "det") else ""
    return sorted(found)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.stem)
def test_no_letter_of_a_formula_is_lost(path):
    html = "".join(passage.content for passage in passages(path.read_text()))
    formulas = re.findall(r"<semantics>(.*?)<annotation[^>]*>(.*?)</annotation>", html, re.DOTALL)
    assert len(formulas) > 10
    for content, latex in formulas:
        shown = unicodedata.normalize(
            "NFKC", "".join(ElementTree.fromstring(content).itertext()).replace("ϕ", "\ue000")
        )
        expected = ["\ue000" if letter == "ϕ" else letter for letter in letters_of(Markup(latex).unescape())]
        assert sorted(letter for letter in shown if letter.isalnum() or letter == "\ue000") == sorted(expected), latex


def test_prose_is_read_as_latex_prints_it():
    assert phrase(r"A \textbf{bold \& $x$} name\_1, 50\,\% of \texttt{a\_b}~-- so") == Markup(
        "A <strong>bold &amp; <math><mi>x</mi></math></strong> name_1, 50\u2009% of <code>a_b</code>\u00a0– so"
    )
    assert phrase("($x$),") == Markup('<span class="one">(<math><mi>x</mi></math>),</span>')
    assert phrase("<b> & $a<b$") == Markup(
        "&lt;b&gt; &amp; <math><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math>"
    )


def test_labels_move_back_to_the_line():
    # Moves from one run to the next end where they began: the last is where its run is.
    moves = [float(run.get("dy", 0)) for run in ElementTree.fromstring(f"<text>{label('a_{b_c}d')}</text>")]
    assert sum(moves) == pytest.approx(0, abs=0.2)


def cells(picture):
    """The colours of a matrix: by the name of each cell, the classes of what fills it."""
    found = {}
    for group in ElementTree.fromstring(picture.svg).iter("g"):
        name = group.find("title").text.partition(":")[0]
        found[name] = [part.get("class") for part in group if part.tag in ("rect", "path")]
    return found


def test_the_gram_matrix_shows_what_the_loss_sees():
    d = derived({**EXPONENTIAL, "horizon": 5.0})
    picture = gram_picture(d, Notation(d.reduction.index))
    texts = list(ElementTree.fromstring(picture.svg).iter("text"))
    assert len(texts) == 4 + 4 + 16  # of columns, rows and cells, each in the size that its indices are made for
    assert {text.get("font-size") for text in texts} <= {"13", "13.0"}
    colours = cells(picture)
    assert colours == {
        **{name: ["cell visible"] for name in ("z_m", "z_u", "v_m", "v_u")},
        **{name: ["cell invisible"] for name in ("m_u", "z_v", "m_m", "u_u", "v_v", "z_z")},
    }


@pytest.mark.parametrize("network", [{}, {"nonlinearity": "erf"}, {"nonlinearity": "erf", "means": True}])
def test_the_metric_shows_what_its_entries_hold(network):
    task = {"kind": "trials"} if network else {**EXPONENTIAL, "horizon": 5.0}
    d = derived(task, **network)
    colours = cells(metric_picture(d, Notation(d.reduction.index)))
    visible = {sympy.Symbol(f"sigma_{name}") for name in d.visible}
    one = sympy.Symbol("sigma_one_one")
    expected = {}
    for i, row in enumerate(d.overlaps):
        for j, column in enumerate(d.visible):
            symbols = d.metric[i, j].free_symbols - {one}
            if d.metric[i, j] != 0 and row != "one_one":
                kinds = [
                    kind for kind, held in (("visible", symbols & visible), ("invisible", symbols - visible)) if held
                ]
                expected[f"{row}, {column}"] = [f"cell {kind}" for kind in kinds or ["constant"]]
    assert colours == expected


def test_the_caption_of_a_linear_metric_says_what_the_paper_says():
    """Ger & Barak 2026, figure 11: visible rows hold invisible overlaps only, and the other way round."""
    d = derived({**EXPONENTIAL, "horizon": 5.0})
    caption = metric_picture(d, Notation(d.reduction.index)).caption.striptags()
    assert "The rows of loss-visible overlaps hold loss-invisible overlaps only." in caption
    assert "The rows of loss-invisible overlaps hold loss-visible overlaps only." in caption


def points(picture, style):
    path = next(path for path in ElementTree.fromstring(picture).iter("path") if path.get("class") == f"curve {style}")
    return np.array(re.findall(r"[ML](\S+) ([-\d.]+)", path.get("d")), dtype=float)


def ticks(picture, axis):
    """Places and values of the ticks of an axis, read from their texts as a reader does."""
    found = {}
    for text in ElementTree.fromstring(picture).iter("text"):
        number = "".join(text.itertext()).replace("−", "-").replace("10⁻⁴", "1e-4").replace("10⁻²", "1e-2")
        beside = text.get("text-anchor") == ("end" if axis == "y" else "middle")
        if beside and re.fullmatch(r"-?[\d.]+(e-?\d+)?", number):
            found[float(number)] = float(text.get(axis)) - (4 if axis == "y" else 0)
    return found


@pytest.mark.parametrize("logarithmic", [False, True])
def test_curves_are_where_the_axes_say(logarithmic):
    x = np.linspace(0, 50, 21)
    y = np.exp(-x / 7) if logarithmic else np.sin(x / 9) - 0.3
    picture = Chart("c", "title", "description", x, [Curve(y, "y", "c0")], "t", logarithmic).svg()
    drawn = points(picture, "c0")
    across, up = ticks(picture, "x"), ticks(picture, "y")
    assert len(across) >= 3
    assert len(up) >= 3
    read_x = np.polyfit(list(across.values()), list(across), 1)
    values = np.log(list(up)) if logarithmic else np.array(list(up))
    read_y = np.polyfit(list(up.values()), values, 1)
    assert np.polyval(read_x, drawn[:, 0]) == pytest.approx(x, abs=0.05)
    found = np.polyval(read_y, drawn[:, 1])
    assert found == pytest.approx(np.log(y) if logarithmic else y, abs=0.05 if logarithmic else 0.01)


def test_what_has_no_place_is_left_out():
    x = np.arange(5.0)
    picture = Chart("c", "t", "d", x, [Curve(np.array([1.0, 0.0, 0.1, np.nan, np.inf]), "y", "c0")], "t", True).svg()
    assert len(points(picture, "c0")) == 2
    empty = Chart("c", "t", "d", x, [Curve(np.full(5, np.nan), "y", "c0")], "t", True).svg()
    assert "M" in empty  # axes have paths
    assert not [path for path in ElementTree.fromstring(empty).iter("path") if "curve" in path.get("class")]


def test_curves_are_broken_where_values_are_missing():
    y = np.array([1.0, 2.0, np.nan, 3.0, np.nan, 2.0, 1.0, 0.5])
    picture = Chart("c", "t", "d", np.arange(8.0), [Curve(y, "y", "c0")], "t").svg()
    code = next(path.get("d") for path in ElementTree.fromstring(picture).iter("path") if "c0" in path.get("class"))
    assert re.sub(r"[-\d. ]+", "", code) == "MLMhMLL"
    long = np.where(np.arange(3000) == 1500, np.nan, 1.0)
    picture = Chart("c", "t", "d", np.arange(3000.0), [Curve(long, "y", "c0")], "t").svg()
    code = next(path.get("d") for path in ElementTree.fromstring(picture).iter("path") if "c0" in path.get("class"))
    assert code.count("M") == 2


def test_the_largest_numbers_have_a_picture():
    """An axis from -1.7e308 to 1.7e308 has no length in floating point."""
    y = np.array([1.0, 1.7e308, -1.7e308, 2.0])
    for logarithmic in (False, True):
        picture = Chart("c", "t", "d", np.arange(4.0), [Curve(y, "y", "c0")], "t", logarithmic).svg()
        assert len(points(picture, "c0")) == 2


def test_the_axis_ends_where_the_last_curve_does():
    x = np.arange(11.0)
    short, shorter = (np.where(x <= last, 1 + x, np.nan) for last in (4, 2))
    svg = Chart("one", "t", "d", x, [Curve(short, "a"), Curve(shorter, "b")], "x").svg()
    assert list(ticks(svg, "x")) == [0, 1, 2, 3, 4]
    ends = {style: points(svg, style)[-1] for style in ("c0", "c1")}
    leaders = dict(re.findall(r'd="M([\d.]+ [\d.]+)L[^"]*" class="leader (c\d)"', svg))
    assert {style: float(place.split()[0]) for place, style in leaders.items()} == pytest.approx(
        {style: x + 1 for style, (x, _) in ends.items()}, abs=0.11
    )


def test_names_keep_apart_and_many_curves_are_grey():
    x = np.arange(3.0)
    curves = [Curve(np.array([0.0, 0.1, 1 + 1e-3 * k]), f"a_{{{k}}}") for k in range(30)]
    root = ElementTree.fromstring(Chart("c", "t", "d", x, curves, "t").svg())
    assert sum(path.get("class") == "curve rest" for path in root.iter("path")) == 18
    names = sorted(float(text.get("y")) for text in root.iter("text") if float(text.get("x")) > LEFT + 200)
    named = [y for y in names if y < HIGH - BOTTOM + 8]
    assert len(named) >= 12
    assert min(np.diff(named[:12])) > 14


def ink(code):
    """How far the letters of a label reach above and below its line, relative to its size."""
    pieces = runs(code)
    return max(0.75 * run.scale - run.shift for run in pieces), max(0.25 * run.scale + run.shift for run in pieces)


def test_indices_of_a_name_do_not_touch_the_exponents_of_the_next():
    codes = [r"\sigma_{z_Eu_E}", r"\lVert u_E\rVert^2"] * 6
    curves = [Curve(np.array([0.0, 1.0]), code) for code in codes]
    root = ElementTree.fromstring(Chart("c", "t", "d", np.arange(2.0), curves, "t").svg())
    lines = sorted(float(text.get("y")) for text in root.iter("text") if text.get("font-size"))
    assert len(lines) == 12
    (up, down), (up_norm, down_norm) = (ink(code) for code in codes[:2])
    assert min(np.diff(lines)) > SIZE * max(down + up_norm, down_norm + up)
    assert max(lines) + SIZE * down < HIGH - BOTTOM + 8


@pytest.mark.parametrize("count", [4, 12, 19, 59])
def test_names_of_columns_are_read_however_many_there_are(count):
    code = r"\sigma_{z_Eu_E}"
    grid = Grid("g", "t", "d", [code] * (count + 3), [code] * count, {(0, 0): ("visible", "", "a: b")}, count)
    root = ElementTree.fromstring(grid.svg())
    names = list(root.iter("text"))[:count]
    sizes = {float(text.get("font-size")) for text in names}
    assert min(sizes) >= 11
    if all(text.get("transform") is None for text in names):
        room, needed = np.diff([float(text.get("x")) for text in names]).min(), width(code, max(sizes))
        assert count < 19
    else:
        places = [float(text.get("transform").split("(")[1].split()[0]) for text in names]
        room, needed = np.diff(places).min(), max(sizes) * sum(ink(code))
    assert room > needed
    # Below the line there is room as well.
    level = float(root.find("line").get("y1"))
    rows = [float(text.get("y")) for text in list(root.iter("text"))[count:]]
    assert rows[count] - grid.font * ink(code)[0] > level > rows[count - 1] + grid.font * 0.3


def test_ticks_are_round_and_within_the_axis():
    for low, high in ((0.0, 1.0), (-3.2, 7.9), (0.0, 1e-6), (120.0, 130.0)):
        found = Scale(low, high, 0, 1).ticks(5)
        assert 3 <= len(found) <= 8
        assert all(low - 1e-9 <= tick <= high * (1 + 1e-9) for tick in found)
    for low, high in ((0.9, 1.3), (0.11, 1.3), (1e-9, 3.0)):
        found = Scale(low, high, 0, 1, logarithmic=True).ticks(5)
        assert 3 <= len(found) <= 9
        assert all(low <= tick <= high for tick in found)
    assert [tick_label(value) for value in (0, -1.5, 1000, 2e-7, 0.05)] == ["0", "−1.5", "1000", "2·10⁻⁷", "0.05"]
    assert tick_label(1e-4, logarithmic=True) == "10⁻⁴"


def test_figures_are_written_for_people():
    assert [figure(value) for value in (0.0, 1.2399, -0.57, 5691.17, 3.22e-7, -1e30)] == [
        "0",
        "1.24",
        "−0.57",
        "5690",
        "3.22·10⁻⁷",
        "−1.00·10³⁰",
    ]
    assert figures_in("off by 4e-10 an entry, 1.5e+03 or 2e5; not x4e-10, 0x1e3, e-5 or 3") == (
        "off by 4·10⁻¹⁰ an entry, 1.5·10³ or 2·10⁵; not x4e-10, 0x1e3, e-5 or 3"
    )
    assert [figure(value) for value in (np.nan, np.inf, -np.inf)] == ["not a number", "∞", "−∞"]


def test_coloured_source_is_the_source():
    source = derived().source()
    text = coloured(source)
    assert Markup(text).unescape() != source  # it has elements
    assert "".join(ElementTree.fromstring(f"<pre>{text}</pre>").itertext()) == source
    assert '<span class="keyword">def</span> <' not in text
    assert '<span class="keyword">def</span> rhs(' in text


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029"])
def test_lines_of_source_are_those_of_python(separator):
    source = f'"""One{separator}two\n\n{separator}three."""\n\nFOUR = 5  # six{separator}seven\n'
    assert "".join(ElementTree.fromstring(f"<pre>{coloured(source)}</pre>").itertext()) == source
    assert '<span class="number-literal">5</span>' in coloured(source)


def test_the_reference_of_a_module_is_its_docstrings():
    module, functions = derived().compile(), {f.name: f for f in public_functions(derived().source())}
    assert {"loss", "loss_gradient", "rhs", "step", "outputs", "overlaps_of", "gram"} <= functions.keys()
    for name, function in functions.items():
        assert getattr(module, name).__doc__.startswith(function.summary)
        words = [function.summary, *(p.text for p in function.details)]
        words += [f"{name}: {meaning}" for p in function.details for name, meaning in p.arguments]
        assert " ".join(" ".join(words).split()) == " ".join(getattr(module, name).__doc__.split())
