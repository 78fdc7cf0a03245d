"""The report in headless Chromium: it opens from disk without a complaint or a request, and fits wide and narrow."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

import symlow
from symlow.views import derive_file
from tests.conftest import EXPONENTIAL, INTEGRATOR, derived

DERIVATIONS = Path(__file__).parents[1] / "derivations"
NAMES = ("ger_barak_2026/rank1_linear", "architectures/two_populations")


@functools.cache
def page(name):
    path = DERIVATIONS / f"{name}.toml"
    return symlow.report(derive_file(path), verify=False, explorer=name == NAMES[0], steps=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "dark"), [(1400, False), (360, True)])
def test_it_opens_in_silence_and_fits(browser, name, width, dark):
    browser.open(page(name), width=width, height=900, dark=dark)
    assert browser.complaints() == []
    assert browser.script("return performance.getEntriesByType('resource').length") == 0
    assert browser.script("return document.documentElement.scrollWidth") <= width
    light = browser.script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(light) < 60) if dark else (min(light) > 200)
    # Formulas are drawn: each has a size, and what is too wide scrolls in its own box.
    sizes = browser.script(
        "return [...document.querySelectorAll('.equation math')].map((m) => [m.clientWidth || "
        "m.getBoundingClientRect().width, m.getBoundingClientRect().height])"
    )
    assert len(sizes) > 10
    assert all(w > 20 and h > 12 for w, h in sizes)
    outside = browser.script(
        "return [...document.querySelectorAll('main p, main table, main svg, .equation, .source')].filter((e) => "
        "!e.closest('.wide') && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).length"
    )
    assert outside == 0


def test_sides_of_aligned_equations_meet(browser):
    browser.open(page(NAMES[0]))
    edges = browser.script(
        "return [...document.querySelectorAll('mtable.aligned')].map((t) => [...t.querySelectorAll(':scope > mtr')]"
        ".map((r) => r.children[0].firstElementChild?.lastElementChild?.getBoundingClientRect().right)"
        ".filter((x) => x !== undefined))"
    )
    assert any(len(rights) > 5 for rights in edges)
    assert all(max(rights) - min(rights) < 6 for rights in edges if rights)


A4 = (665, 986)
"""Width and height of what a page of paper holds between its margins, 176 mm by 261 mm, in pixels of CSS."""

UNBREAKABLE = """
const display = (e) => getComputedStyle(e).display;
return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()
  && !e.parentElement.closest('svg, math')
  && (e.matches('svg') || getComputedStyle(e).breakInside === 'avoid' || display(e).includes('math')))
  .map((e) => [e.outerHTML.slice(0, 60), e.getBoundingClientRect().height]);
"""


@pytest.mark.parametrize("name", NAMES)
def test_nothing_unbreakable_is_taller_than_a_printed_page(browser, name):
    width, height = A4
    browser.open(page(name), width=width, height=height, media="print")
    found = browser.script(UNBREAKABLE)
    assert len(found) > 30
    assert [(start, tall) for start, tall in found if tall > height] == []
    assert browser.script("return document.documentElement.scrollWidth") <= width
    lines = browser.script(
        "return [...document.querySelectorAll('.equation > math > semantics > mtable > mtr')].map((r) => "
        "[r.getBoundingClientRect().height, getComputedStyle(r).breakInside])"
    )
    assert all(rule == "avoid" and 10 < tall < height / 2 for tall, rule in lines)
    equations = browser.script(
        "return [...document.querySelectorAll('.equation')].map((e) => e.getBoundingClientRect().height)"
    )
    assert max(equations) > height or name == NAMES[0]


def test_what_is_printed_is_whole(browser):
    browser.open(page(NAMES[0]), width=A4[0], height=A4[1], media="print")
    assert browser.driver.find_element(By.ID, "specification-source").is_displayed()
    for hidden in ("latex", "explorer", "module-source"):
        assert not browser.driver.find_element(By.ID, hidden).is_displayed()
    empty = "return [...document.querySelectorAll('.source')].filter((e) => e.checkVisibility() && !e.innerText.trim())"
    assert browser.script(empty) == []


def test_links_lead_to_their_sections(browser):
    browser.open(page(NAMES[0]), width=1400, height=900)
    for name in ("overview", "learning", "explorer", "latex"):
        browser.driver.find_element(By.CSS_SELECTOR, f"nav a[href='#{name}']").click()
        top = browser.script("return document.getElementById(arguments[0]).getBoundingClientRect().top", name)
        assert 0 <= top < 900
        assert browser.script("return location.hash") == f"#{name}"


MASK = np.zeros((3, 25, 1))
MASK[1:, 20:] = 1.0
MASKED = (np.ones((3, 25, 1)), np.where(MASK > 0, 0.5, 0.0), MASK)
ODD = {
    "infinite": ({**INTEGRATOR, "horizon": float("inf")}, {}, {}),
    "diverging": ({**EXPONENTIAL, "horizon": 5.0}, {}, {"lr": 40.0, "steps": 4}),
    "masked": ({"kind": "trials"}, {}, {"trials": MASKED}),
    "many": ({"kind": "trials"}, {"rank": 3}, {"trials": MASKED}),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_runs_have_pages_that_work(browser, name):
    task, network, options = ODD[name]
    browser.open(symlow.report(derived(task, **network), **{"verify": False, "steps": 2, **options}), height=900)
    button = browser.driver.find_element(By.CSS_SELECTOR, "[data-part=run]")
    assert button.is_enabled() == (name != "infinite")
    browser.script("arguments[0].scrollIntoView({ block: 'center' })", button)
    button.click()
    state = "return document.querySelector('.symlow-explorer').explorer.snapshot().state"
    expected = "ready" if name == "infinite" else "finished"
    WebDriverWait(browser.driver, 30).until(lambda _: browser.script(state) == expected)
    assert browser.complaints() == []
    words = browser.script("return document.querySelector('[data-part=status]').textContent")
    assert ("The loss is infinite at these overlaps" in words) == (name == "infinite")
    broken = "return [...document.querySelectorAll('svg.chart path')].filter((p) => p.getTotalLength() === 0).length"
    assert browser.script(broken) == 0


def test_equations_that_scroll_are_reached_by_keys(browser):
    for width in (360, 1400):
        browser.open(page(NAMES[0]), width=width, height=900)
        boxes = browser.script(
            "return [...document.querySelectorAll('.equation')].map((e) => [e.scrollWidth > e.clientWidth, e.tabIndex, "
            "e.getAttribute('role')])"
        )
        assert all(place == ([0, "group"] if scrolls else [-1, None]) for scrolls, *place in boxes)
        assert any(scrolls for scrolls, *_ in boxes) or width > 1000


def test_what_scrolls_on_a_phone_is_seen_to_go_on(browser):
    browser.open(page(NAMES[0]), width=390, height=844)
    inside = browser.script(
        "return [...document.querySelectorAll('main *')].filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth "
        "+ 1 && getComputedStyle(e).overflowX === 'auto').map((e) => getComputedStyle(e).backgroundImage)"
    )
    assert len(inside) > 10
    assert all(image.count("linear-gradient") == 4 for image in inside)
    # Sliders are no page within the page: a finger that scrolls would move them.
    sliders = browser.script(
        "return [...document.querySelectorAll('.symlow-explorer fieldset')].map((e) => e.scrollHeight - e.clientHeight)"
    )
    assert len(sliders) == 4
    assert max(sliders) <= 1


def test_buttons_copy_what_they_say(browser):
    browser.open(page(NAMES[0]), width=1400, height=900)
    browser.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
    d = derive_file(DERIVATIONS / f"{NAMES[0]}.toml")
    for name, expected in (("module-source", d.source()), ("latex-source", d.latex())):
        button = browser.driver.find_element(By.CSS_SELECTOR, f"[data-copies={name}]")
        browser.script("arguments[0].scrollIntoView({ block: 'center' })", button)
        button.click()
        WebDriverWait(browser.driver, 20).until(lambda _, button=button: button.text == "Copied")
        copied = browser.driver.execute_async_script(
            "const done = arguments[0]; navigator.clipboard.readText().then(done, (error) => done(String(error)))"
        )
        assert copied == expected
    assert browser.complaints() == []
