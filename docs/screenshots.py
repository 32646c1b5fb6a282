"""Take the README's screenshots of the running app, and its animated tour: `make screenshots`.

To add a tab, write a function that visits it, a line in `PICTURES`, and steps in `TOUR`.
"""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, expect, sync_playwright

from app.server.serving import launch_options, serve
from app.ui import TABS, build_app
from nfn.reader import write_network
from zoo.catalog import Zoo

DOCS = Path(__file__).parent
PHOTO = Path(gradio.__file__).parent / "media_assets" / "images" / "cheetah.jpg"
RESNET = DOCS.parent / "tests" / "data" / "foreign_cnns" / "resnet8.pth"
CHROMIUM = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
PATIENCE = 60_000
"""The timeout of a page in milliseconds."""
TOUR_SIZE, SHRUNK, SECONDS, QUALITY = (1280, 860), (960, 645), 2.6, 65
"""The window of the tour, the size of its frames, the duration of each, and its quality as WebP (a third of a GIF)."""


def main() -> None:
    """Serve the app, visit it, and write a screenshot of each tab, and the tour."""
    demo = build_app()
    url = serve(demo, {**launch_options(TABS), "server_port": None, "quiet": True})
    expect.set_options(timeout=PATIENCE)
    try:
        with sync_playwright() as playwright:
            path = shutil.which("chromium-headless-shell") or shutil.which("chromium")  # see `make browser`
            browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
            for name, (height, visit) in PICTURES.items():
                page = browser.new_page(viewport={"width": 1280, "height": height})
                visit(page, url)
                shoot(page, DOCS / f"{name}.webp")
                page.close()
            write_tour(browser.new_page(viewport={"width": TOUR_SIZE[0], "height": TOUR_SIZE[1]}), url)
            browser.close()
    finally:
        demo.close()


def shoot(page: Page, path: Path) -> None:
    """Take a screenshot from the top of the page once animations have ended, as WebP; with 128 colours, a third of the
    size."""
    page.wait_for_function("!document.body.dataset.choosing")
    page.wait_for_load_state("networkidle")
    page.wait_for_function("[...document.images].every(image => image.complete || !image.checkVisibility())")
    page.wait_for_timeout(3000)
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        few = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    few.convert("RGB").save(path, lossless=True, method=6)


def open_tab(page: Page, url: str, tab: str) -> None:
    """Open the page at a tab, and wait until it is ready."""
    page.goto(f"{url}?tab={tab}", wait_until="networkidle")
    page.wait_for_function("window.weightscope?.state.linkWasRead && !document.body.dataset.choosing")


def visit_inr(page: Page, url: str) -> None:
    """The Pictures tab after one click on a network."""
    open_tab(page, url, "inr")
    page.locator("#gallery [data-pick]").nth(3).click()
    expect(page.locator("#verdict .facts")).to_contain_text("cifar10-sirens/test/3:")


def visit_generalization(page: Page, url: str) -> None:
    """The Generalization tab after a click on a network, and after measuring it."""
    open_tab(page, url, "generalization")
    page.locator("#networks tbody tr").nth(8).click()
    page.locator("#networks tbody tr[aria-selected=true]").wait_for()
    page.wait_for_function("!document.body.dataset.choosing")
    page.locator("#measure").click()
    page.locator("#measure-line .big").wait_for()
    page.evaluate("window.scrollTo(0, 0)")


def visit_upload(page: Page, url: str) -> None:
    """The Generalization tab with an uploaded third-party ResNet, once its graph is drawn."""
    open_tab(page, url, "generalization")
    page.locator("#cnn-upload input[type=file]").set_input_files(RESNET)
    expect(page.locator("#accuracy .facts")).to_contain_text(RESNET.name)
    page.locator("#measure").click()
    page.locator("#measure-line .big").wait_for()
    page.evaluate("window.scrollTo(0, 0)")


def visit_checkpoint(page: Page, url: str) -> None:
    """The Checkpoint tab with two networks of the zoo as files, and the path between them."""
    open_tab(page, url, "checkpoint")
    uploads = (
        ("52", "#look-upload", "#look .caption", "fashion-52"),
        ("98", "#compare-upload", "#compared .title", ""),
    )
    with TemporaryDirectory() as folder:
        for number, box, answer, text in uploads:
            path = Path(folder, f"fashion-{number}.safetensors")
            write_network(Zoo().network(f"fashion-mnist-cnns/test/{number}"), path)
            page.locator(f"{box} input[type=file]").set_input_files(path)
            expect(page.locator(answer)).to_contain_text(text)
    page.locator("#walk").click()
    expect(page.locator("#path-plot .js-plotly-plot")).to_be_visible()


def visit_tickets(page: Page, url: str) -> None:
    """The Tickets tab after a click on a network, at the end of a race."""
    open_tab(page, url, "tickets")
    page.locator("#inits tbody tr").nth(3).click()
    expect(page.locator("#ticket .facts")).to_contain_text("mnist-inits/test/3:")
    page.locator("#start-race").click()
    expect(page.locator("#race-line")).to_contain_text("reaches", timeout=2 * PATIENCE)
    page.evaluate("window.scrollTo(0, 0)")


def visit_how(page: Page, url: str) -> None:
    """The How it works tab, after permuting the neurons."""
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
"""For each file name, the height of the window and the function that visits the view."""


def to(where: str) -> Callable[[Page], None]:
    """A step that scrolls a card to the top of the window."""
    return lambda page: page.locator(where).first.evaluate(
        "item => window.scrollTo(0, item.closest('.card').getBoundingClientRect().top + window.scrollY - 12)"
    )


def click(where: str, number: int = 0) -> Callable[[Page], None]:
    """A step that clicks."""
    return lambda page: page.locator(where).nth(number).click()


def until(where: str, words: str) -> Callable[[Page], None]:
    """A step that waits for a text."""
    return lambda page: expect(page.locator(where)).to_contain_text(words, timeout=2 * PATIENCE)


def at(tab: str) -> Callable[[Page], None]:
    """A step that opens a tab."""
    return lambda page: open_tab(page, page.url.partition("?")[0], tab)


def draw_seven(page: Page) -> None:
    """Draw a 7 in the editor, by mouse."""
    page.locator("#editor button[aria-label=Brush]").click()
    box = page.locator("#editor canvas").first.bounding_box()
    assert box is not None, "the editor is on screen"
    corners = [(0.3, 0.25), (0.7, 0.25), (0.45, 0.8)]
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=20)
    page.mouse.up()


def open_editor(page: Page) -> None:
    """Open the editor of your own picture; until it is ready, it drops what it is given."""
    page.locator("#own-picture > button").first.click()
    expect(page.locator("#editor canvas").first).to_be_visible()
    page.wait_for_timeout(3000)


def give_photo(page: Page) -> None:
    """Put a photo into the editor."""
    page.locator("#editor input[type=file]").first.set_input_files(PHOTO)
    page.wait_for_timeout(2000)


def learn(size: str, side: str) -> list[Callable[[Page], None]]:
    """Steps that fit a network to the picture in the editor, and wait for all that the tab shows of it."""
    choices = [
        lambda page: page.locator("#fit-size").get_by_text(size, exact=True).click(),
        lambda page: page.locator("#fit-side").get_by_text(side, exact=True).click(),
    ]
    return [*choices, click("#fit"), until("#fit-line", "Learned:"), until("#verdict .facts", "my-picture")]


TOUR: list[tuple[str, list[Callable[[Page], None]]]] = [
    (
        "Draw a digit: a small network learns it in a second.",
        [at("inr"), open_editor, draw_seven, *learn("Small", "28")],
    ),
    ("Another network reads it, and a third one edits it.", [to("#verdict")]),
    (
        "A photo becomes a network too, of 34,000 weights.",
        [at("inr"), open_editor, give_photo, *learn("Medium", "128"), until("#edit-line", "PSNR")],
    ),
    ("Edit it, and zoom in: the result is a network too, and has no pixels.", [to("#style")]),
    (
        "Permute its hidden neurons: the weights move, the picture stays.",
        [at("inr"), click("#gallery [data-pick]", 3), click("#permute"), to("#permute")],
    ),
    ("A small CNN: how many unseen images will it classify correctly?", [at("generalization")]),
    ("Then measure it, and see.", [click("#measure"), to("#measure")]),
    (
        "An untrained network: which few weights are worth training?",
        [at("tickets"), click("#inits tbody tr", 5)],
    ),
    (
        "The race: the ticket against a random mask of the same size.",
        [click("#start-race"), to("#race"), until("#race-line", "reaches")],
    ),
    (
        "The zoo: networks and the networks that read them.",
        [at("zoo"), click("[data-pick='cifar10-sirens']")],
    ),
    ("Why it is hard: one network, many files.", [at("how"), click("[data-shuffle]")]),
]
"""The caption of each frame, and the steps from the previous one."""


def write_tour(page: Page, url: str) -> None:
    """Write the tour as an animated picture, `docs/tour.webp`."""
    page.goto(url, wait_until="networkidle")
    frames = [take_frame(page, words, steps) for words, steps in TOUR]
    frames[0].save(
        DOCS / "tour.webp", save_all=True, append_images=frames[1:], duration=int(1000 * SECONDS), loop=0,
        quality=QUALITY,
    )  # fmt: skip


def take_frame(page: Page, words: str, steps: list[Callable[[Page], None]]) -> Image.Image:
    """A screenshot after the steps, with a caption."""
    for step in steps:
        step(page)
    shot = DOCS / "frame.webp"
    shoot(page, shot)
    with Image.open(shot) as picture:
        frame = captioned(picture.convert("RGB").resize(SHRUNK), words)
    shot.unlink()
    return frame


def captioned(picture: Image.Image, words: str) -> Image.Image:
    """A picture with a caption on a dark bar."""
    bar = 46
    frame = Image.new("RGB", (picture.width, picture.height + bar), "#062638")
    frame.paste(picture)
    ImageDraw.Draw(frame).text(
        (18, picture.height + 11), words, fill="white", font=ImageFont.load_default(20)
    )
    return frame


if __name__ == "__main__":
    main()
