"""Load the predictors of a zoo; which ones there are is listed in `nfn.predictor.CLASSES`."""

from pathlib import Path

from nfn.predictor import Predictor
from zoo.errors import ZooError


def load_predictor(folder: Path) -> Predictor:
    """The predictor in a folder, whose name is its name in the zoo; ZooError if it cannot be used."""
    try:
        return Predictor.load(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise ZooError(f"The predictor {folder.name} cannot be used: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """What is wrong in one line, without the path on this machine."""
    if isinstance(error, OSError):
        return f"{Path(error.filename or '').name}: {error.strerror}"
    return " ".join(str(error).split()).removesuffix(".")
