"""What frames every tab: the header that says what this is, and the footer that says how it is run."""

import tomllib
from pathlib import Path

from app import zoo_panels
from app.gpu import device, zero_gpu
from app.links import TABS
from app.panels import escape
from app.zoos import own_zoo
from zoo.catalog import Zoo
from zoo.files import sha256

PAPER = "https://arxiv.org/abs/2302.14040"

BIBTEX = """@inproceedings{zhou2023permutation,
  title = {Permutation Equivariant Neural Functionals},
  author = {Zhou, Allan and Yang, Kaien and Burns, Kaylee and Cardace, Adriano and Jiang, Yiding and
            Sokota, Samuel and Kolter, J. Zico and Finn, Chelsea},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2023}
}"""


def header() -> str:
    """The name, one sentence, and the paper one line away; and why the zoo is not the one asked for, if so."""
    notice = zoo_panels.failure(own_zoo().notice)
    return (
        '<header class="masthead"><h1>Weightscope</h1>'
        "<p>Networks that read networks. Pick one, or bring your own: another network reads its weights and tells you "
        f"{_to('inr', 'what picture it holds')}, {_to('generalization', 'how often it will be right')}, or "
        f"{_to('tickets', 'which few of its weights are worth training')}. It needs none of your data.</p>"
        f'<p class="paper">After <a href="{PAPER}" target="_blank" rel="noopener">Permutation Equivariant Neural '
        f"Functionals</a> (Zhou et al., NeurIPS 2023). {_to('how', 'How it works')}</p>"
        f'<p id="spoken" class="unseen" role="status"></p></header>{notice}'
    )


def _to(tab: str, words: str) -> str:
    """A link to a tab; `app.opening` shows the tab without loading the page again."""
    return f'<a href="?tab={tab}" data-tab="{TABS[tab]}">{words}</a>'


def footer(keep_seconds: int) -> str:
    """Version, device, which zoo, how long files are kept, licence, and how to cite."""
    where = "ZeroGPU" if zero_gpu() else "a GPU" if device().type == "cuda" else "a CPU"
    return (
        f'<footer class="colophon"><p>Weightscope {escape(version())}, running on {where}, with '
        f"{zoo_revision(own_zoo().zoo)}. MIT licence; each collection names that of its images.</p>"
        f"<p>Your files are read as numbers, never executed, shown to nobody else, and deleted "
        f"{_duration(keep_seconds)} after they arrive.</p>"
        f"<details><summary>How to cite</summary><pre>{escape(BIBTEX, 1000)}</pre></details></footer>"
    )


def zoo_revision(zoo: Zoo) -> str:
    """Exactly which zoo this is: its commit on the Hub, else its catalog, which holds the checksums of its files."""
    if zoo.source.kind == "hub":
        return f"the zoo {escape(zoo.source.repo)} at commit <code>{escape(zoo.source.revision)[:12]}</code>"
    catalog = sha256(zoo.root / "catalog.json")[:12]
    return f"the {escape(zoo.source)}, catalog <code>{catalog}</code>"


def version() -> str:
    """The version that pyproject.toml states."""
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["version"]


def _duration(seconds: int) -> str:
    return "an hour" if seconds == 3600 else f"{seconds // 60} minutes"
