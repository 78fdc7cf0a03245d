"""Headless Chromium for the tests of what runs in pages, started once for a session: ``browser``, a fixture.

Debian's packages chromium and chromium-driver have the programs; Selenium is in the extra ``test``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, CHROMEDRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

EMPTY = "<!doctype html><title>empty</title>"

IMPORT = """
const done = arguments[arguments.length - 1];
const url = URL.createObjectURL(new Blob([arguments[0]], { type: "text/javascript" }));
import(url).then((module) => done({ value: module.default }), (error) => done({ error: String(error) }));
"""


class Browser:
    """A browser with pages, scripts and what it complained of."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver = driver
        self._folder = folder

    def open(
        self,
        text: str,
        width: int = 1200,
        height: int = 1600,
        dark: bool = False,
        motion: bool = False,
        media: str = "",
    ) -> None:
        """Open a page from disk in a window of that size, for a user who wants it dark or not, with motion or not.

        As it is on a screen, or as it is printed where ``media`` is "print".
        """
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        moving = {"name": "prefers-reduced-motion", "value": "no-preference" if motion else "reduce"}
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme, moving]})
        path = self._folder / "page.html"
        path.write_text(text, encoding="utf-8")
        self.complaints()
        self.driver.get(path.as_uri())

    def script(self, text: str, *arguments: Any) -> Any:
        """Return what a script returns in the page."""
        return self.driver.execute_script(text, *arguments)

    def default_export(self, module: str) -> Any:
        """Return the default export of a JavaScript module, which runs in an empty page."""
        self.open(EMPTY)  # pages of symlow forbid themselves to load any other script
        found = self.driver.execute_async_script(IMPORT, module)
        assert "error" not in found, found
        return found["value"]

    def complaints(self) -> list[Any]:
        """Return what the console holds since it was last asked."""
        return self.driver.get_log("browser")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium."""
    from selenium import webdriver

    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    try:
        found = Browser(driver, folder)
        found.open(EMPTY)  # a new tab has rules of its own
        yield found
    finally:
        driver.quit()


def in_node(module: str) -> Any:
    """Return the default export of a JavaScript module, a constant ``found``, in Node.js; None without Node.js."""
    node = shutil.which("node")
    if node is None:
        return None
    text = f"{module}\nprocess.stdout.write(JSON.stringify(found));\n"
    result = subprocess.run([node, "--input-type=module"], input=text, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
