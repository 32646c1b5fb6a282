"""Take the README's pictures of the running app, and its tour: `make screenshots`.

A new tab gets a function that visits it, a line in `PICTURES`, and steps of its own in `TOUR`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, expect, sync_playwright

from app.serving import launch_options, serve
from app.ui import build_app
from nfn.reader import write_network
from zoo.catalog import Zoo

DOCS = Path(__file__).parent
RESNET = DOCS.parent / "tests" / "data" / "foreign_cnns" / "resnet8.pth"
CHROMIUM = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
PATIENCE = 60_000
"""Milliseconds that a page may take."""
TOUR_SIZE, SHRUNK, SECONDS = (1280, 860), (960, 645), 2.6
"""The window of the tour, the size that its frames are shrunk to, and how long each stands."""


def main() -> None:
    """Serve the app, visit it, write a picture of each tab, and the tour."""
    demo = build_app()
    url = serve(demo, {**launch_options(), "server_port": None, "quiet": True})
    expect.set_options(timeout=PATIENCE)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
            for name, (height, visit) in PICTURES.items():
                page = browser.new_page(viewport={"width": 1280, "height": height})
                visit(page, url)
                shoot(page, DOCS / f"{name}.png")
                page.close()
            write_tour(browser.new_page(viewport={"width": TOUR_SIZE[0], "height": TOUR_SIZE[1]}), url)
            browser.close()
    finally:
        demo.close()


def shoot(page: Page, path: Path) -> None:
    """A picture of the page from its top, once nothing moves any more; of 256 colours, a third of the size."""
    page.wait_for_function("!document.body.dataset.choosing")
    page.wait_for_load_state("networkidle")
    page.wait_for_function("[...document.images].every(image => image.complete || !image.checkVisibility())")
    page.wait_for_timeout(3000)
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def open_tab(page: Page, url: str, tab: str) -> None:
    """Open the page at a tab, and wait until it is ready."""
    page.goto(f"{url}?tab={tab}", wait_until="networkidle")
    page.wait_for_function("window.linkWasRead && !document.body.dataset.choosing")


def visit_inr(page: Page, url: str) -> None:
    """The INR tab after one click on a network."""
    open_tab(page, url, "inr")
    page.locator("#gallery .thumbnail-item").nth(8).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/8:")


def visit_generalization(page: Page, url: str) -> None:
    """The Generalization tab after one click on a network, and after measuring it."""
    open_tab(page, url, "generalization")
    page.locator("#networks tbody tr").nth(8).click()
    page.locator("#networks tbody tr[aria-selected=true]").wait_for()
    page.wait_for_function("!document.body.dataset.choosing")
    page.locator("#measure").click()
    page.locator("#measure-line .big").wait_for()
    page.evaluate("window.scrollTo(0, 0)")


def visit_upload(page: Page, url: str) -> None:
    """The Generalization tab with a ResNet of somebody else's dropped in, once its graph is drawn."""
    open_tab(page, url, "generalization")
    page.locator("#cnn-upload input[type=file]").set_input_files(RESNET)
    expect(page.locator("#accuracy .facts")).to_contain_text(RESNET.name)
    page.locator("#measure").click()
    page.locator("#measure-line .big").wait_for()
    page.evaluate("window.scrollTo(0, 0)")


def visit_checkpoint(page: Page, url: str) -> None:
    """The Checkpoint tab with two networks of the zoo as files, on the way from one to the other."""
    open_tab(page, url, "checkpoint")
    with TemporaryDirectory() as folder:
        for number, box in (("52", "#look-upload"), ("98", "#compare-upload")):
            path = Path(folder, f"fashion-{number}.safetensors")
            write_network(Zoo().network(f"fashion-mnist-cnns/test/{number}"), path)
            page.locator(f"{box} input[type=file]").set_input_files(path)
            expect(page.locator("#health .title" if number == "52" else "#compared .title")).to_be_visible()
    page.locator("#walk").click()
    expect(page.locator("#walked .path")).to_be_visible()


def visit_tickets(page: Page, url: str) -> None:
    """The Tickets tab after a click on a network, at the end of a race."""
    open_tab(page, url, "tickets")
    page.locator("#inits tbody tr").nth(3).click()
    expect(page.locator("#ticket .facts")).to_contain_text("mnist-inits/test/3:")
    page.locator("#start-race").click()
    expect(page.locator("#race-line")).to_contain_text("reaches", timeout=2 * PATIENCE)
    page.evaluate("window.scrollTo(0, 0)")


def visit_how(page: Page, url: str) -> None:
    """How it works, after the neurons were shuffled."""
    open_tab(page, url, "how")
    page.locator("[data-shuffle]").click()
    expect(page.locator("#how-said .numbers")).to_be_visible()


PICTURES: dict[str, tuple[int, Callable[[Page, str], None]]] = {
    "inr": (1000, visit_inr),
    "generalization": (1480, visit_generalization),
    "upload": (2600, visit_upload),
    "tickets": (2660, visit_tickets),
    "how": (1140, visit_how),
    "checkpoint": (1760, visit_checkpoint),
}
"""By file name, the height of the window and the way there."""


def to(where: str) -> Callable[[Page], None]:
    """A step that brings a card to the top of the window."""
    return lambda page: page.locator(where).first.evaluate(
        "item => window.scrollTo(0, item.closest('.card').getBoundingClientRect().top + window.scrollY - 12)"
    )


def click(where: str, number: int = 0) -> Callable[[Page], None]:
    """A step that clicks."""
    return lambda page: page.locator(where).nth(number).click()


def until(where: str, words: str) -> Callable[[Page], None]:
    """A step that waits for words."""
    return lambda page: expect(page.locator(where)).to_contain_text(words, timeout=2 * PATIENCE)


def at(tab: str) -> Callable[[Page], None]:
    """A step that goes to a tab."""
    return lambda page: open_tab(page, page.url.partition("?")[0], tab)


TOUR: list[tuple[str, list[Callable[[Page], None]]]] = [
    (
        "Every picture in the gallery is a network. Click one.",
        [at("inr"), click("#gallery .thumbnail-item", 8)],
    ),
    (
        "Another network edits it: what comes out is a network again.",
        [click("#style label", 4), to("#style")],
    ),
    ("Permute its hidden neurons: the weights move, the picture stays.", [click("#permute"), to("#permute")]),
    ("A small CNN: how many unseen images will it name rightly?", [at("generalization")]),
    ("Then measure it, and see.", [click("#measure"), to("#measure")]),
    ("All its weights, layer by layer.", [to("#layers-before")]),
    (
        "An untrained network: which few weights are worth training?",
        [at("tickets"), click("#inits tbody tr", 5)],
    ),
    ("First layer, pixel by pixel: what is kept of it.", [to("#masks")]),
    (
        "The race: the ticket against as many weights at random.",
        [click("#start-race"), to("#race"), until("#race-line", "reaches")],
    ),
    (
        "The zoo: networks and the networks that read them.",
        [at("zoo"), click("[data-pick='cifar10-sirens']")],
    ),
    ("Why it is hard: one network, many files.", [at("how"), click("[data-shuffle]")]),
]
"""What each frame says, and the way to it from the one before."""


def write_tour(page: Page, url: str) -> None:
    """The tour as an animated picture, `docs/tour.gif`."""
    page.goto(url, wait_until="networkidle")
    frames = [take_frame(page, words, steps) for words, steps in TOUR]
    frames[0].save(
        DOCS / "tour.gif", save_all=True, append_images=frames[1:], duration=int(1000 * SECONDS), loop=0,
        optimize=True,
    )  # fmt: skip


def take_frame(page: Page, words: str, steps: list[Callable[[Page], None]]) -> Image.Image:
    """What is on screen after the steps, with words under it."""
    for step in steps:
        step(page)
    shot = DOCS / "tour.png"
    shoot(page, shot)
    frame = captioned(Image.open(shot).convert("RGB").resize(SHRUNK), words)
    shot.unlink()
    return frame.quantize(96, dither=Image.Dither.NONE)


def captioned(picture: Image.Image, words: str) -> Image.Image:
    """A picture with a dark bar of words under it."""
    bar = 46
    frame = Image.new("RGB", (picture.width, picture.height + bar), "#062638")
    frame.paste(picture)
    ImageDraw.Draw(frame).text(
        (18, picture.height + 11), words, fill="white", font=ImageFont.load_default(20)
    )
    return frame


if __name__ == "__main__":
    main()
