"""What frames every tab: the header that says what this is, and the footer that says how it is run."""

from app.networks.zoos import own_zoo
from app.page.html import escape, failure
from app.runtime.device import device, zero_gpu
from nfn import __version__
from nfn.reader.limits import FILE_BYTES
from zoo.catalog import Zoo
from zoo.files import sha256
from zoo.labelled_files import MAX_FILE

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
    notice = failure(own_zoo().notice)
    return (
        '<header class="masthead"><h1>Weightscope</h1>'
        "<p>Networks that read networks. Pick a neural network or bring your own: another network reads it and tells "
        f"you {_to('inr', 'which picture it holds')}, {_to('generalization', 'how accurate it will be')}, or "
        f"{_to('tickets', 'which of its weights are worth training')}.</p>"
        f'<p class="paper">After <a href="{PAPER}" target="_blank" rel="noopener">Permutation Equivariant Neural '
        f"Functionals</a> (Zhou et al., NeurIPS 2023). {_to('how', 'How it works')}</p>"
        '<p id="spoken" class="unseen" role="status"></p>'
        f'<p id="connection" role="status"></p><i hidden id="limits" data-max-mb="{FILE_BYTES >> 20}" '
        f'data-max-images-mb="{MAX_FILE >> 20}"></i>'
        f"</header>{notice}"
    )


def _to(tab: str, words: str) -> str:
    """A link to a tab; `app.page.deep_links` shows the tab without loading the page again."""
    return f'<a href="?tab={tab}" data-tab="{tab}">{words}</a>'


def footer(keep_seconds: int) -> str:
    """Version, device, which zoo, how long files are kept, licence, and how to cite."""
    where = "ZeroGPU" if zero_gpu() else "a GPU" if device().type == "cuda" else "a CPU"
    kept = "an hour" if keep_seconds == 3600 else f"{keep_seconds // 60} minutes"
    return (
        f'<footer class="colophon"><p>Weightscope {escape(__version__)}, running on {where}, with '
        f"{zoo_revision(own_zoo().zoo)}. MIT licence; each collection names that of its images.</p>"
        f"<p>Your files are read as numbers, never executed, shown to nobody else, and deleted {kept} after they "
        f"arrive.</p>"
        f"<details><summary>How to cite</summary><pre>{escape(BIBTEX, 1000)}</pre></details></footer>"
    )


def zoo_revision(zoo: Zoo) -> str:
    """Exactly which zoo this is: its commit on the Hub, else its catalog, which holds the checksums of its files."""
    if zoo.source.kind == "hub":
        return f"the zoo {escape(zoo.source.repo)} at commit <code>{escape(zoo.source.revision)[:12]}</code>"
    catalog = sha256(zoo.root / "catalog.json")[:12]
    return f"the {escape(zoo.source)}, catalog <code>{catalog}</code>"
