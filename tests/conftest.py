"""What all tests share: no network but this machine, caches in a temporary folder, a running app, images, a Hub."""

import gc
import os
import socket
import tempfile
import tracemalloc  # noqa: F401 - pytest imports it in finalizers; amid another import, Python 3.11 raises KeyError
from pathlib import Path
from shutil import which

_CACHES = tempfile.mkdtemp(prefix="weightscope-tests-")
os.environ.update(  # read when the libraries are imported, so set before
    COLUMNS="200",  # tables and lines of commands are not broken
    GRADIO_ANALYTICS_ENABLED="False",
    GRADIO_TEMP_DIR=str(Path(_CACHES, "gradio").resolve()),
    HF_HOME=str(Path(_CACHES, "hf")),
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    OMP_NUM_THREADS=os.environ.get(
        "OMP_NUM_THREADS", "1"
    ),  # a process of tests for each core: more threads only wait
)

import hypothesis  # noqa: E402, F401 - its plugin imports it at the end, amid finalizers: see `no_garbage_collection`
import pytest  # noqa: E402
from foreign import FOREIGN_METADATA, fit_foreign_siren  # noqa: E402
from foreign_cnn import train_tiny_file  # noqa: E402
from loopback_hub import LoopbackHub  # noqa: E402
from waiting import free_port  # noqa: E402

IMAGES = Path(__file__).parent / "data" / "images"


SLOW = ("test_foreign_cnns", "test_app_usable_browser", "test_app_generalization", "test_hostile_visitors",
        "test_nfn_reader_limits", "test_app_zoo_browser", "test_app_generalization_browser", "test_foreign_sirens",
        "test_app_axe_browser", "test_app_process", "test_app_browser", "test_install", "test_app_queue_browser",
        "test_hostile_api", "test_app_look_browser", "test_app_tickets", "test_hostile_browser", "test_space",
        "test_app_tickets_browser", "test_app_api", "test_app_checkpoint_browser", "test_zoo_build_wild",
        "test_hostile_costs", "test_zoo_accuracy", "test_hostile_arguments", "test_nfn_onnx_dynamo",
        "test_nfn_predictors", "test_zoo_score", "test_hostile_zoo", "test_zoo_build", "test_nfn_generalization",
        "test_zoo_cli", "test_nfn_layers_spaces")  # fmt: skip
"""Files that take ten seconds or more come first, so that no worker is left alone with one at the end; those that
compute and those that wait for a browser take turns."""


def pytest_collection_finish():
    """What has been imported stays, so that garbage collection need not look through it again and again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: SLOW.index(item.path.stem) if item.path.stem in SLOW else len(SLOW))


def _is_local(address) -> bool:
    return not isinstance(address, tuple) or str(address[0]) in ("127.0.0.1", "::1", "localhost", "0.0.0.0")


def _guarded(connect):
    def local_only(self, address):
        if not _is_local(address):
            raise OSError(f"Tests run without a network, and something wants to reach {address}.")
        return connect(self, address)

    return local_only


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """Connections leave this machine in no test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


@pytest.fixture(scope="session")
def app_url():
    """The address of the app, served as `python app.py` serves it, on a free port."""
    from app.server.serving import launch_options, serve
    from app.ui import TABS, build_app

    demo = build_app()
    yield serve(demo, {**launch_options(TABS), "server_port": free_port(), "quiet": True})
    demo.close()


@pytest.fixture
def no_garbage_collection():
    """For tests that parse Python: in Python 3.11 `ast.parse` raises SystemError if a finalizer runs meanwhile."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def chromium():
    """A real browser; without one the tests that use it are skipped, and fail under CI=true."""
    from browsing import PATIENCE
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    path = which("chromium-headless-shell") or which(
        "chromium"
    )  # the shell loads a page with a third less CPU
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("No chromium on this machine: under CI the browser tests must run.")
        pytest.skip("No chromium on this machine.")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def window(chromium):
    """A window of the browser for a module: after its first page, scripts come compiled from its cache."""
    from browsing import new_window

    opened = new_window(chromium)
    yield opened
    opened.close()


@pytest.fixture
def context(window):
    """The module's window; pages that a test opens are closed after it."""
    before = set(window.pages)
    yield window
    for page in set(window.pages) - before:
        page.close()


@pytest.fixture(scope="module")
def http(app_url):
    """A client of the running app, which has answered once."""
    import httpx
    from asking import INIT, ask

    fresh = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=app_url, timeout=60, limits=fresh) as client:
        assert "event: complete" in ask(client, "winning_ticket", None, INIT), "warm, as is each predictor"
        yield client


@pytest.fixture(scope="session")
def real_images():
    """`real_images(name, row)`: an image `(c, H, W)` uint8 of a published test split, and its label's name."""
    from zoo import images

    def load(name: str, row: int):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(IMAGES))
            pixels, labels = images.load_images(name, "test", [row])
        return pixels[0], images.IMAGE_SETS[name].labels[int(labels[0])]

    return load


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The folder of sixteen SIRENs of real training digits; tests only read it."""
    from zoo import images
    from zoo.build import run_build
    from zoo.build_siren import SirenBuild

    folder = tmp_path_factory.mktemp("collections") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(IMAGES))
        run_build(SirenBuild("mnist", "train", 16), folder, "cpu", 1, lambda count: None)
    return folder


@pytest.fixture(scope="module")
def local_images():
    """The few images of `tests/data` are those that wild zoos are built from."""
    from zoo import images
    from zoo.build_wild import own_pixels, wild_images

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(IMAGES))
        for function in (wild_images, own_pixels):
            function.cache_clear()
        yield
    for function in (wild_images, own_pixels):
        function.cache_clear()


@pytest.fixture(scope="session")
def foreign_file(real_images, tmp_path_factory):
    """A `ForeignSiren` of the first MNIST test image (a 7), saved with its convention as metadata."""
    from safetensors.torch import save_file

    image, _ = real_images("mnist", 0)
    path = tmp_path_factory.mktemp("foreign") / "somebody's net.safetensors"
    save_file(fit_foreign_siren(image).state_dict(), path, metadata=FOREIGN_METADATA)
    return path


@pytest.fixture(scope="session")
def foreign_cnn_file(tmp_path_factory):
    """A `TinyNet` with ReLU, trained on real Fashion-MNIST images as somebody else would: a bare state_dict."""
    path = tmp_path_factory.mktemp("foreign") / "somebody's classifier.pt"
    folder = IMAGES / "zalando-datasets" / "fashion_mnist" / "fashion_mnist"
    train_tiny_file(folder / "train-00000-of-00001.parquet", path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A zoo of 12 SIRENs and an untrained editor."""
    from nfn.editor import InrEditor, InrEditorConfig
    from zoo.catalog import EMBEDDED, write_catalog
    from zoo.sample import Sample, sample_collection

    root = tmp_path_factory.mktemp("made") / "zoo"
    folder = root / "collections" / "tiny-sirens"
    sample_collection([EMBEDDED / "collections" / "mnist-sirens"], folder, Sample(count=12))
    InrEditor(InrEditorConfig(channels=4)).save(root / "predictors" / "inr-editor")
    (root / "predictors" / "inr-editor" / "README.md").write_text("# A card\n")
    write_catalog(root)
    return root


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that the client in this process talks to, and an empty cache."""
    import huggingface_hub

    constants = huggingface_hub.constants
    with LoopbackHub() as served:
        for name, value in {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True}.items():
            monkeypatch.setattr(constants, name, value)
        environment = {"HF_ENDPOINT": served.url, "HF_TOKEN": "hf_loopback", "WEIGHTSCOPE_HUB_SECONDS": "5",
                       "WEIGHTSCOPE_CACHE": str(tmp_path / "cache")}  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield served


@pytest.fixture
def pushed(hub, made) -> LoopbackHub:
    """The Hub, with the made zoo on it."""
    from hub_zoo import put

    put(hub, made)
    hub.requests.clear()
    return hub
