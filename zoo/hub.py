"""The boundary to the Hugging Face Hub: the only file that imports its client."""

from pathlib import Path

from huggingface_hub import hf_hub_download


def download_dataset_file(repo: str, filename: str) -> Path:
    """One file of a dataset repository, from the cache where it is there already."""
    return Path(hf_hub_download(repo, filename, repo_type="dataset", token=False))
