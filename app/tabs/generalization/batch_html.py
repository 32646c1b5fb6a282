"""Many networks at once in the Accuracy tab: the table of predictions, and how many there are."""

from collections.abc import Sequence

from app.tabs.generalization.batch import BatchRow
from nfn.architecture.words import FUNCTION_TITLES
from nfn.wiring.pictures import IMAGE_TITLES

MAX_REMARK = 72
BATCH_HEADERS = ["file", "predicted %", "from %", "to %", "images", "activation", "remark"]


def batch_table(rows: Sequence[BatchRow]) -> list[list[object]]:
    """One row per network, with numbers if they are reliable, else with a remark."""
    return [_batch_row(row) for row in rows]


def _batch_row(row: BatchRow) -> list[object]:
    shares = (row.predicted, row.low, row.high)
    numbers = [None if x is None or not row.typical else round(100 * x, 1) for x in shares]
    remark = _shorten(row.error) or ("" if row.typical else "unlike the zoo: no reliable number")
    activation = FUNCTION_TITLES.get(row.activation, row.activation)
    return [row.name, *numbers, IMAGE_TITLES.get(row.images, row.images), activation, remark]


def _shorten(error: str) -> str:
    """The beginning of an error: two lines of the table. The CSV file has all of it."""
    return error if len(error) <= MAX_REMARK else f"{error[: MAX_REMARK - 1].rstrip()}…"


def batch_line(rows: Sequence[BatchRow]) -> str:
    """How many networks have a prediction, and how many do not."""
    failed, unlike = sum(bool(row.error) for row in rows), sum(row.typical is False for row in rows)
    verb = "is" if unlike == 1 else "are"
    rest = [f"{failed:,} could not be read"] * bool(failed) + [f"{unlike:,} {verb} unlike the zoo"] * bool(
        unlike
    )
    read = f"{len(rows) - failed - unlike:,} of {len(rows):,} networks have a prediction"
    return f'<p class="line" role="status">{"; ".join([read, *rest])}.</p>'


def batch_progress(done: int, files: int) -> str:
    """The progress of a batch, in files."""
    return (
        f'<div class="line" role="status"><progress max="{files}" value="{done}" aria-label="files read"></progress>'
        f"<p>{done:,} of {files:,} files read.</p></div>"
    )


NO_BATCH = '<div class="not-yet">The table will have one row per network. You can sort it and download it as CSV.</div>'
