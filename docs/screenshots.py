"""Take the README's screenshots of the running app: `make screenshots`."""

import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from app.serving import launch_options
from app.ui import build_app

DOCS = Path(__file__).parent
CHROMIUM = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


def main() -> None:
    """Serve the app, visit it, and write a picture of each tab."""
    demo = build_app()
    _, url, _ = demo.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
            for take in (take_inr, take_generalization):
                take(browser.new_page(viewport={"width": 1280, "height": 1000}), url)
            browser.close()
    finally:
        demo.close()


def take_inr(page: Page, url: str) -> None:
    """The INR tab after one click on a network."""
    page.goto(url, wait_until="networkidle")
    page.locator("#gallery button").nth(8).click()
    page.wait_for_timeout(3000)
    page.screenshot(path=DOCS / "inr.png")


def take_generalization(page: Page, url: str) -> None:
    """The Generalization tab after one click on a network, and after measuring it."""
    page.goto(url, wait_until="networkidle")
    page.locator("#verdict .title").wait_for()
    page.get_by_role("tab", name="Generalization").click()
    page.locator("#networks tbody tr").nth(8).click()
    page.locator("#measure").click()
    page.locator("#measure-line .big").wait_for()
    page.set_viewport_size({"width": 1280, "height": 1480})
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=DOCS / "generalization.png")


if __name__ == "__main__":
    main()
