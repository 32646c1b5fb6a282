"""The boundary to the Hugging Face Hub: the only file that imports its client."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData, hf_hub_download


def download_dataset_file(repo: str, filename: str) -> Path:
    """One file of a dataset repository, from the cache where it is there already."""
    return Path(hf_hub_download(repo, filename, repo_type="dataset", token=False))


def card_header(title: str, tags: list[str], accuracies: Sequence[tuple[str, str, float]]) -> str:
    """The front matter of a model card, with a `model-index` of `(data set title, name, accuracy)` results."""
    results = [
        EvalResult(task_type="image-classification", dataset_type=name, dataset_name=dataset,
                   metric_type="accuracy", metric_value=value)
        for dataset, name, value in accuracies
    ]  # fmt: skip
    data = ModelCardData(
        model_name=title, license="mit", library_name="weightscope", tags=tags, eval_results=results or None
    )
    return f"---\n{data.to_yaml()}\n---\n"
