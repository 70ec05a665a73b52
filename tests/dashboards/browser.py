"""A headless Chromium that may talk to one host only, and says what it asked for and complained about."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = " and ".join(name for name, path in (("chromium", CHROMIUM), ("chromedriver", DRIVER)) if not path)
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--hide-scrollbars",
        "--force-device-scale-factor=1",
    ),
)
_BENEATH_PX = 12


class Browser:
    """One window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str, *, width: int = 1280, dark: bool = False, zone: str = "UTC") -> None:
        """Open a page as a reader with this screen, taste and time zone would."""
        ask = self.driver.execute_cdp_cmd
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        ask("Emulation.setEmulatedMedia", {"features": [theme, still]})
        ask("Emulation.setTimezoneOverride", {"timezoneId": zone})
        self._size(width, 900)
        self.driver.get(url)
        self.until(lambda: self.find(".sentence"), "the sentence")
        self.until(lambda: len(self.find(".js-plotly-plot")) == len(self.find(".chart")), "every chart")

    def find(self, css: str) -> list[Any]:
        """Elements now."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        """Text of the first such element; empty where there is none."""
        return str(self.driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", css))

    def until(self, true: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
        """Wait for a condition."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{what} did not come; the console says {self.complaints()}"
            time.sleep(0.05)

    def shoot(self, path: Path, down_to: str = "") -> None:
        """Write a picture of the page: the whole, or down to the end of an element."""
        tall = self.driver.execute_script("return document.documentElement.scrollHeight")
        wide = self.driver.execute_script("return window.innerWidth")
        self._size(wide, tall)
        self.driver.execute_script("window.dispatchEvent(new Event('resize'))")
        time.sleep(0.4)  # Charts redraw at their new size; there is no event to wait for.
        if down_to:
            end = self.find(down_to)[0].rect
            self._size(wide, round(end["y"] + end["height"] + _BENEATH_PX))
        self.driver.save_screenshot(str(path))

    def asked(self) -> set[str]:
        """Hosts that anything was requested from, since the last call."""
        urls = [
            message["params"]["request"]["url"]
            for entry in self.driver.get_log("performance")
            if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
        ]
        return {url.split("/")[2] for url in urls if url.startswith(("http", "ws"))}

    def complaints(self) -> list[str]:
        """Errors on the console, since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def _size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start one and end it."""
    options = Options()
    options.binary_location = CHROMIUM or ""
    profile = mkdtemp(prefix="driftline-chromium-")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
