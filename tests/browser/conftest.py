"""A real browser: Chromium, if this machine has one."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
from analyses.explorer import write_explorer
from analyses.one_run.stored_networks import checkpoints_at

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
Opened = Callable[..., Any]


@pytest.fixture(scope="module")  # playwright runs an event loop, which other tests cannot have
def chromium() -> Iterator[Any]:
    """A headless Chromium, driven by playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright to run these")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium found; apt-get install chromium, or install Google Chrome")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any) -> Iterator[Opened]:
    """``opened(file, "#fragment")``: the page of a file when it has drawn everything.

    ``before`` is a script that runs first, ``until`` a selector of what is waited for instead.

    A message in the console, an error, or a request to anywhere else fails the test.
    """
    pages, said = [], []

    def open_page(
        file: Path,
        fragment: str = "",
        *,
        width: int = 1200,
        before: str = "",
        until: str = "body[data-ready=yes]",
    ) -> Any:
        page = chromium.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if _leaves(request) else None)
        if before:
            page.add_init_script(before)
        page.goto(file.as_uri() + fragment)
        page.wait_for_selector(until)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not said


def _leaves(request: Any) -> bool:
    return not request.url.startswith(("file:", "blob:", "data:"))


CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=13, train_fraction=0.6, corruption=0.3, seed=3),
    model=gi.MLPConfig(d_mlp=40),
    training=gi.TrainConfig(steps=300, weight_decay=1.0),
    seed=5,
)


@pytest.fixture(scope="session")
def run() -> gi.Run:
    """A small run with two stored networks on the way."""
    return gi.train(CONFIG, progress=False, device="cpu", checkpoints=checkpoints_at([50, 120]))


@pytest.fixture(scope="session")
def explorer(run: gi.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its explorer."""
    file = tmp_path_factory.mktemp("explorer") / "explorer.html"
    write_explorer(run, file, name="small")
    return file


@pytest.fixture(autouse=True)
def no_gradients(one_thread: None) -> Iterator[None]:
    """We only look."""
    with torch.no_grad():
        yield
