"""The live explorer in headless Chromium: real clicks and drags, numbers of NumPy, sliders that stay feasible."""

import base64
import re
import time
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import symlow
from symlow.batches import task_batches
from symlow.colours import contrast
from symlow.errors import ArrayError, GramMatrixError, LearningError, SpecError
from symlow.formulas import runs
from symlow.printing.notation import Notation
from tests.conftest import EXPONENTIAL, compiled, derived, random_trials, states

TRIALS = {"kind": "flip_flop", "batch": 4, "duration": 4.0}
ERF = {"nonlinearity": "erf", "dt": 0.1}
TIME_LIMIT = 60


class Page:
    """An explorer that is open in the browser."""

    def __init__(self, browser, derivation, module, motion=False, **options):
        self.browser, self.derivation, self.module = browser, derivation, module
        browser.open(symlow.explorer_page(derivation, **options), motion=motion)

    def part(self, name):
        return self.browser.driver.find_element(By.CSS_SELECTOR, f"[data-part={name}]")

    def slider(self, name):
        return self.browser.driver.find_element(By.ID, f"explorer-{name}")

    def drag(self, name, to):
        """Drag a slider from where it is to a fraction of its width, with the mouse."""
        slider = self.slider(name)
        self.browser.script("arguments[0].scrollIntoView({ block: 'center' })", slider)
        low, high, value = (float(slider.get_property(key)) for key in ("min", "max", "value"))
        width = slider.size["width"]
        places = (round((fraction - 0.5) * (width - 18)) for fraction in ((value - low) / (high - low), to))
        start, stop = places
        actions = ActionChains(self.browser.driver, duration=50)
        actions.move_to_element_with_offset(slider, start, 0).click_and_hold()
        actions.move_by_offset(stop - start, 0).release().perform()

    def snapshot(self):
        return self.browser.script("return document.querySelector('section').explorer.snapshot()")

    def range(self, overlap, who="network"):
        text = "return document.querySelector('section').explorer.range(arguments[0], arguments[1])"
        return self.browser.script(text, overlap, who)

    def run(self):
        self.part("run").click()
        return self.wait("finished")

    def wait(self, state):
        end = time.monotonic() + TIME_LIMIT
        while (found := self.snapshot())["state"] != state:
            assert time.monotonic() < end, found
            time.sleep(0.05)
        return found

    def gram(self, network):
        return self.module.gram(np.array(network["initial"]))


@pytest.fixture
def linear(browser):
    page = Page(browser, derived(), compiled(), steps=120, lr=0.02)
    yield page
    assert browser.complaints() == []


@pytest.fixture
def nonlinear(browser):
    page = Page(browser, derived(TRIALS, **ERF), compiled(TRIALS, **ERF), steps=40, seed=3)
    yield page
    assert browser.complaints() == []


def assert_learned(page, found, trials=None):
    """Compare both networks with the learning of the NumPy module."""
    for network in found["networks"]:
        sigma = np.array(network["initial"])
        for _ in range(found["step"]):
            sigma = page.module.step(sigma, found["lr"], trials)
        np.testing.assert_allclose(network["sigma"], sigma, rtol=0, atol=1e-10 * np.max(np.abs(sigma)))
        np.testing.assert_allclose(network["loss"], page.module.loss(sigma, trials), rtol=1e-10, atol=1e-14)


def test_a_click_learns_what_numpy_learns(linear):
    found = linear.run()
    assert (found["step"], found["lr"]) == (120, 0.02)
    assert_learned(linear, found)
    learned = symlow.learn(linear.derivation, found["networks"][0]["initial"], 0.02, 120)
    np.testing.assert_allclose(found["networks"][0]["sigma"], learned.sigma[-1], rtol=0, atol=1e-12)
    assert "120 steps done" in linear.part("status").text
    assert linear.part("run").text == "Run again"
    alternative = linear.part("visible").find_element(By.TAG_NAME, "svg").get_attribute("aria-label")
    assert alternative.startswith("Loss-visible overlaps. z_m: network from ")


def test_names_are_those_of_the_notation_at_sliders_and_curves(browser):
    """Indices stand below and exponents above the line, in letters that are smaller, and what follows back on it."""
    d = derived({"kind": "trials"}, nonlinearity="erf", bias=True, means=True)
    x = np.ones((1, 3, 1))
    browser.open(symlow.explorer_page(d, trials=(x, x, None)))
    notation = Notation(d.reduction.index)
    expected = {overlap.name: runs(notation.doprint(overlap.symbol)) for overlap in d.ordered}
    for name, found in expected.items():
        shown = browser.script(
            """
            const label = document.querySelector(`label[title="overlap ${arguments[0]}"]`);
            return label && [...label.children].map((part) => {
              const style = getComputedStyle(part);
              return [part.textContent, style.fontStyle, parseFloat(style.fontSize), parseFloat(style.top)];
            });
            """,
            name,
        )
        if name == "one_one":
            assert shown is None
            continue
        assert [part[:2] for part in shown] == [[run.text, "italic" if run.italic else "normal"] for run in found]
        size = shown[0][2]
        assert [part[2] for part in shown] == pytest.approx([size * run.scale for run in found], abs=0.05)
        assert [part[3] for part in shown] == pytest.approx([size * run.shift for run in found], abs=0.05)
    drawn = browser.script("return [...document.querySelectorAll('svg .label')].map((each) => each.textContent)")
    texts = {"".join(run.text for run in found) for found in expected.values()}
    assert drawn
    assert set(drawn) <= texts
    assert {"⟨z⟩", "‖𝟏‖2"} <= texts
    assert browser.complaints() == []


def test_trials_are_those_of_the_task(nonlinear):
    trials = task_batches(nonlinear.derivation, 3, batch=4, data="fixed")(0)
    assert_learned(nonlinear, nonlinear.run(), trials)


def test_twins_differ_in_what_the_loss_does_not_see(linear):
    first, twin = (np.array(network["initial"]) for network in linear.snapshot()["networks"])
    visible = len(linear.derivation.visible)
    np.testing.assert_array_equal(first[:visible], twin[:visible])
    assert (np.abs(first - twin)[visible:] > 0.1).all()
    found = linear.run()["networks"]
    assert abs(found[0]["loss"] - found[1]["loss"]) > 0.01 * found[0]["loss"]


def test_sliders_stay_feasible(nonlinear):
    for name, to in [("both-z_m", 1.0), ("both-z_u", 0.9), ("twin-z_v", 0.0), ("both-u_u", 0.0), ("network-v_v", 0.0)]:
        nonlinear.drag(name, to)
        networks = nonlinear.snapshot()["networks"]
        assert min(np.linalg.eigvalsh(nonlinear.gram(network))[0] for network in networks) > 0
        who, overlap = name.split("-")
        ranges = nonlinear.range(overlap, who)
        values = [network["initial"][nonlinear.module.OVERLAPS.index(overlap)] for network in networks]
        owner = values[1] if who == "twin" else values[0]
        assert owner == pytest.approx(ranges[0] if to < 0.5 else ranges[1], rel=1e-9)
        assert (values[0] == values[1]) == (who == "both")
    assert nonlinear.slider("both-z_m").get_attribute("aria-valuetext").count(" to ") == 1


def test_the_range_of_a_slider_ends_at_the_cone(linear):
    linear.drag("both-z_m", 0.65)
    linear.drag("network-m_u", 0.4)
    module, found = linear.module, linear.snapshot()["networks"]
    for name in ("z_m", "v_u", "m_u", "z_v", "m_m", "z_z"):
        k = module.OVERLAPS.index(name)
        owners = found if name in module.VISIBLE else found[:1]
        low, high = linear.range(name)
        for outside, inside in ((low, 1), (high, -1)):
            if name[0] == name[2] and inside == -1:
                continue  # norms have no upper bound but that of the slider
            lowest = []
            for beyond in (inside, -inside):  # a little to either side of the end, whose inset is 0.1 %
                shifted = [np.array(network["initial"]) for network in owners]
                for sigma in shifted:
                    sigma[k] = outside + beyond * 0.002 * (high - low if name[0] != name[2] else low + 0.02)
                lowest.append(min(np.linalg.eigvalsh(module.gram(sigma))[0] for sigma in shifted))
            assert lowest[0] > 0 > lowest[1], name


def test_parameters_of_the_task_have_sliders(linear):
    linear.drag("decay", 0.5)
    found = linear.run()
    decay = found["parameters"]["decay"]
    assert decay == pytest.approx(1.0, abs=0.02)
    assert_learned(linear, found, linear.module.task(decay=decay))


def test_dragging_after_a_run_learns_anew(linear):
    before = linear.run()
    linear.drag("both-v_u", 0.6)
    found = linear.wait("finished")
    assert found["networks"][0]["initial"] != before["networks"][0]["initial"]
    assert_learned(linear, found)


def test_pause_resume_reset_and_defaults(browser):
    page = Page(browser, derived(), compiled(), motion=True, steps=100_000)
    at_start = page.snapshot()
    page.part("run").click()
    time.sleep(0.3)
    page.part("pause").click()
    paused = page.snapshot()
    assert 0 < paused["step"] < 100_000
    assert page.part("status").text.startswith(f"Paused at step {paused['step']}.")
    time.sleep(0.1)
    assert page.snapshot() == paused
    page.part("run").click()
    page.wait("running")
    page.part("reset").click()
    assert page.snapshot() == at_start
    page.drag("twin-m_m", 0.9)
    assert page.snapshot() != at_start
    page.part("defaults").click()
    assert page.snapshot() == at_start
    assert browser.complaints() == []


def test_keys_move_sliders(linear):
    linear.slider("both-z_m").send_keys(Keys.ARROW_RIGHT)
    initial = linear.snapshot()["networks"][0]["initial"]
    slider = linear.slider("both-z_m")
    assert initial[linear.module.OVERLAPS.index("z_m")] == float(slider.get_property("value"))
    slider.send_keys(Keys.ARROW_LEFT)
    assert linear.snapshot()["networks"][0]["initial"] != initial
    slider.send_keys(Keys.HOME)
    low, _ = linear.range("z_m")
    assert linear.snapshot()["networks"][0]["initial"][linear.module.OVERLAPS.index("z_m")] == pytest.approx(low)


def test_sliders_say_numbers_and_not_logarithms(linear):
    assert linear.slider("lr").get_attribute("aria-valuetext") == "0.02, of 2·10⁻⁵ to 20"
    assert linear.slider("steps").get_attribute("aria-valuetext") == "120, of 10 to 100000"
    assert linear.browser.script("return document.querySelectorAll('output').length") == 0  # each change would be told


def test_a_single_step_stays_single(browser):
    page = Page(browser, derived(), compiled(), steps=1)
    assert page.slider("steps").get_attribute("aria-valuetext") == "1, of 1 to 100000"
    page.drag("both-z_m", 0.6)
    assert page.run()["step"] == 1
    assert browser.complaints() == []


def test_where_the_loss_is_infinite_nothing_is_learned(browser):
    task = {**EXPONENTIAL, "horizon": float("inf")}
    derivation, module = derived(task), compiled(task)
    chosen = {"v_u": 2.0, "m_m": 4.0, "u_u": 4.0, "v_v": 4.0, "z_z": 4.0}
    sigma = np.array([chosen.get(name, 0.0) for name in module.OVERLAPS])
    assert module.loss(sigma) == np.inf
    page = Page(browser, derivation, module, sigma=sigma, steps=20, lr=1e-4)
    words = page.part("status").text
    assert "The loss is infinite at these overlaps: change the loss-visible ones." in words
    assert "diverged" not in words
    assert "Infinity" not in words
    assert not page.part("run").is_enabled()
    page.drag("both-v_u", 0.4)
    assert "infinite" not in page.part("status").text
    assert_learned(page, page.run())
    assert browser.complaints() == []


def test_divergence_is_said_in_words(linear):
    linear.drag("lr", 1.0)
    found = linear.run()
    assert [network["loss"] for network in found["networks"]] == [None, None]
    words = linear.part("status").text
    assert re.search(r"The network diverged at step \d+: .* The twin diverged at step \d+: .* Lower the", words)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_shows_it_whole_and_words_have_contrast(browser, dark):
    browser.open(symlow.explorer_page(derived()), width=360, height=800, dark=dark)
    assert browser.script("return document.documentElement.scrollWidth") == 360
    unlabelled = "return [...document.querySelectorAll('input')].filter((each) => each.labels.length !== 1).length"
    assert browser.script(unlabelled) == 0
    colours = browser.script(
        """
        const style = getComputedStyle(document.querySelector(".symlow-explorer"));
        const shades = [0, 1, 2, 3, 4, 5].flatMap((k) => [`visible-${k}`, `invisible-${k}`]);
        const names = ["paper", "panel", "ink", "soft", "trouble", "visible", "invisible", "target", ...shades];
        return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
        """
    )
    for name in ("ink", "soft", "trouble", "visible", "invisible"):
        for ground in ("paper", "panel"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)  # WCAG 2, level AA
    for name in [name for name in colours if name not in ("paper", "panel")]:  # of what is not words 3 is asked
        assert contrast(colours[name], colours["paper"]) >= 3, name
    labels = "return [...document.querySelectorAll('svg .label')].map((each) => getComputedStyle(each).fill)"
    ink = "rgb({}, {}, {})".format(*(int(colours["ink"][k : k + 2], 16) for k in (1, 3, 5)))
    found = browser.script(labels)
    assert len(found) == 10
    assert set(found) == {ink}


PLOTS = (Path(symlow.__file__).parent / "explorer" / "templates" / "plots.js").read_text()


def test_plots_hold_hundreds_of_thousands_of_points(browser):
    """An engine takes about 1e5 arguments of a function: none may be given a value each."""
    found = browser.default_export(
        PLOTS
        + """
        const figure = document.createElement("figure");
        figure.innerHTML = "<figcaption><span>many</span></figcaption>";
        const values = Array.from({ length: 3e5 }, (_, k) => k + 1);
        for (const log of [false, true]) {
          const curve = { x: values, y: values, style: "", label: [{ text: "a", italic: true, scale: 1, shift: 0 }] };
          new Plot(figure, { log, across: "step" }).draw({ curves: [curve], reach: 3e5 });
        }
        export default {
          linear: linearRange(values),
          log: logRange(values),
          drawn: [...figure.querySelectorAll("path.curve")].map((path) => path.getAttribute("d").split("L").length),
        };
        """
    )
    assert found["linear"] == pytest.approx([0, 312_000])
    assert found["log"] == pytest.approx([10**-0.05, 3e5 * 10**0.05])
    assert found["drawn"] == [300_000, 300_000]


def test_curves_are_broken_where_values_are_missing(browser):
    found = browser.default_export(
        PLOTS
        + """
        const figure = document.createElement("figure");
        figure.innerHTML = "<figcaption><span>few</span></figcaption>";
        const y = [1, 2, NaN, 3, Infinity, 2, 1];
        new Plot(figure, { across: "step" }).draw({ curves: [{ x: y.map((_, k) => k), y, style: "" }], reach: 6 });
        const points = [...figure.querySelectorAll("circle.point")].map((point) => point.getAttribute("cx"));
        export default [figure.querySelector("path.curve").getAttribute("d"), points];
        """
    )
    path, points = found
    assert re.sub(r"[-\d.,]", "", path) == "MLMML"
    # A point between gaps is drawn as such.
    assert [float(x) for x in points] == pytest.approx([float(path.split("M")[2].split(",")[0])], abs=0.1)


def test_numbers_are_short_and_what_is_none_is_said(browser):
    numbers = "[0.005, 2e-5, 120, 100000, -1.5e-7, Infinity, -Infinity, NaN]"
    assert browser.default_export(f"{PLOTS}\nexport default {numbers}.map((value) => shortNumber(value));") == [
        *("0.005", "2·10⁻⁵", "120", "100000", "−1.5·10⁻⁷", "∞", "−∞", "not a number"),
    ]


def test_nothing_comes_from_a_network(linear):
    assert linear.browser.script("return performance.getEntriesByType('resource').length") == 0
    text = symlow.explorer_page(linear.derivation)
    assert 'content="default-src &#39;none&#39;; style-src' in text  # a browser refuses the rest
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert text == symlow.explorer_page(linear.derivation)


def test_several_stand_in_one_page(browser):
    fragments = [symlow.explorer_fragment(derived(), identifier=name) for name in ("first", "second")]
    browser.open("<!doctype html><title>two</title>" + "\n".join(fragments))
    states = browser.script("return [...document.querySelectorAll('section')].map((s) => s.explorer.snapshot().state)")
    assert states == ["ready", "ready"]
    ids = browser.script("return [...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    assert browser.complaints() == []


def test_velocities_and_ones_have_no_slider(browser):
    network = {"rank": 1, "nonlinearity": "erf", "means": True}
    tables = {"name": "example", "network": network, "task": TRIALS, "learning": {"rule": "momentum"}}
    derivation = symlow.derive(symlow.Spec.model_validate(tables))
    Page(browser, derivation, derivation.compile(), steps=10).run()
    sliders = browser.script("return [...document.querySelectorAll('fieldset input')].map((each) => each.id)")
    # Of m, u, v, z and one, all pairs and norms but that of one; what is invisible twice.
    among = [f"{a}_{b}" for a in ("z", "v", "m", "u") for b in ("m", "u", "v", "z", "one")]
    movable = [name for name in derivation.overlaps if name in among]
    expected = [f"explorer-both-{name}" for name in movable if name in derivation.visible]
    for name in (name for name in movable if name in derivation.invisible):
        expected += [f"explorer-network-{name}", f"explorer-twin-{name}"]
    assert len(movable) == 14
    assert sorted(sliders) == sorted([*expected, "explorer-lr", "explorer-steps"])
    # Words name those that change most, and count the others, without the norm of ones, which is a constant.
    words = browser.script("return document.querySelector('[data-part=invisible] svg').getAttribute('aria-label')")
    assert words.count("network from") == 12
    assert words.endswith(f"{len(derivation.invisible) - 13} others change less.")
    curves = "return document.querySelectorAll('[data-part=invisible] svg .curve').length"
    assert browser.script(curves) == 2 * (len(derivation.invisible) - 1)
    assert browser.complaints() == []


def test_given_trials_and_overlaps(browser):
    derivation, module = derived({"kind": "trials"}), compiled({"kind": "trials"})
    sigma, trials = states(module, 1)[0], random_trials(derivation, 2, 10)
    page = Page(browser, derivation, module, sigma=sigma, trials=trials, steps=10)
    found = page.run()
    assert found["networks"][0]["initial"] == sigma.tolist()
    assert_learned(page, found, trials)


def test_a_page_holds_the_first_trials_that_fit():
    derivation = derived({"kind": "trials"})
    x = np.random.default_rng(0).standard_normal((600, 100, 1))
    text = symlow.explorer_fragment(derivation, trials=(x, x, None))
    assert "learns from the same 200 trials of the 600 given, as many as the page can hold." in text
    assert f'"x": "{base64.b64encode(x[:200].tobytes()).decode()}"' in text
    assert len(text) < 600_000
    mask = np.zeros_like(x)
    mask[300:] = 1
    text = symlow.explorer_fragment(derivation, trials=(x, x, mask))  # what does not count is no use
    assert f'"x": "{base64.b64encode(x[300:433].tobytes()).decode()}"' in text
    text = symlow.explorer_fragment(derivation, trials=(x[:3], x[:3]))
    assert "learns from the same 3 trials, which the page holds." in text
    with pytest.raises(LearningError, match=r"^trials: found 60000 numbers in each; accepted: at most 40000"):
        symlow.explorer_fragment(derivation, trials=(x.reshape(2, 30_000, 1), x.reshape(2, 30_000, 1)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": 0.0}, LearningError, "lr: found 0.0; accepted: a finite number > 0"),
        ({"steps": 0}, LearningError, "steps: found 0; accepted: an integer >= 1"),
        ({"lr": "a"}, LearningError, "lr: found 'a'; accepted: a finite number > 0"),
        ({"lr": True}, LearningError, "lr: found True; accepted: a finite number > 0"),
        ({"steps": 2.7}, LearningError, "steps: found 2.7; accepted: an integer >= 1"),
        ({"steps": True}, LearningError, "steps: found True; accepted: an integer >= 1"),
        ({"identifier": "1 2"}, SpecError, "identifier: found '1 2'; accepted: a letter"),
        ({"level": 7}, SpecError, "level: found 7; accepted: 1 to 6"),
        ({"sigma": np.ones((2, 10))}, LearningError, "sigma: found 2 states; accepted: one"),
        ({"sigma": -np.ones(10)}, GramMatrixError, "the Gram matrix has the eigenvalue"),
        ({"trials": (np.ones((1, 2, 3)), np.ones((1, 2, 1)))}, ArrayError, "x: found shape"),
    ],
)
def test_what_is_not_accepted(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        symlow.explorer_fragment(derived(), **options)


def test_a_task_without_trials_wants_them():
    with pytest.raises(SpecError, match=r"task.kind: found 'trials', .* accepted: trials=\(x, y, mask\)"):
        symlow.explorer_fragment(derived({"kind": "trials"}))
