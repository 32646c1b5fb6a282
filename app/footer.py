"""What frames every tab: the header that says what this is, and the footer that says how it is run."""

import tomllib
from pathlib import Path

from app import zoo_panels
from app.gpu import device, zero_gpu
from app.panels import escape
from app.zoos import own_zoo

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
        "<p>Neural networks that read other neural networks. Pick one below, and see what its weights hold.</p>"
        f'<p class="paper">After <a href="{PAPER}" target="_blank" rel="noopener">Permutation Equivariant Neural '
        "Functionals</a> (Zhou et al., NeurIPS 2023): networks that take other networks as their input.</p></header>"
        f"{notice}"
    )


def footer(keep_seconds: int) -> str:
    """Version, device, how long files are kept, licence, and how to cite."""
    where = "ZeroGPU" if zero_gpu() else "a GPU" if device().type == "cuda" else "a CPU"
    return (
        f'<footer class="colophon"><p>Weightscope {escape(version())}, running on {where}. Uploads are read as '
        f"numbers, never executed, and deleted {_duration(keep_seconds)} after they arrive. MIT licence.</p>"
        f"<details><summary>Cite the paper</summary><pre>{escape(BIBTEX, 1000)}</pre></details></footer>"
    )


def version() -> str:
    """The version that pyproject.toml states."""
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["version"]


def _duration(seconds: int) -> str:
    return "an hour" if seconds == 3600 else f"{seconds // 60} minutes"
