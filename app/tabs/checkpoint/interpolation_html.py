"""The interpolation between two networks: two accuracy curves, or two rows of pictures."""

from gradio.components.plot import PlotData

from app.page.figures import to_pixels
from app.page.html import as_table, escape
from app.page.plots import BLUE, GRAY, Curve, fraction_curves
from app.page.widgets import inline_image
from app.tabs.checkpoint.interpolation import Interpolation
from app.tabs.inr.html import DOMAIN_TITLES

WHY = (
    "Hidden units have no order, so two similar networks may have their units in different places, and the average of "
    "their weights is useless. Alignment puts the units into the same order first."
)


def results_along_path(result: Interpolation) -> str:
    """The results along the path, and how much closer alignment brings the two networks."""
    alignment = result.alignment
    line = (
        f"<p>{alignment.moved:,} of {alignment.units:,} hidden units changed places. The distance between the two "
        f"networks, relative to the norm of the first, went from {alignment.before:.1%} to "
        f"<b>{alignment.distance:.1%}</b>.</p>"
    )
    seen = _pictures(result) if result.is_pictures else _accuracies(result)
    return f'<div class="verdict walk">{line}{seen}<p class="caption">{WHY}</p></div>'


def curves_along_path(result: Interpolation) -> PlotData | None:
    """The two accuracies along the path as a figure; None for pictures."""
    if result.is_pictures:
        return None
    middle = len(result.shares) // 2
    curves = [
        Curve(words, result.shares, values, colour, legend_index=middle)
        for words, values, colour in (
            ("as the files are, halfway", result.direct, GRAY),
            ("aligned, halfway", result.aligned, BLUE),
        )
    ]
    return fraction_curves(curves, "from the first network to the second", (-0.02, 1.02), ".0%")


def _accuracies(result: Interpolation) -> str:
    """What the curves show, in words for screen readers and as a table."""
    middle = len(result.shares) // 2
    description = (
        f"Accuracy along the straight path: halfway {result.direct[middle]:.0%} as the files are, "
        f"{result.aligned[middle]:.0%} after alignment."
    )
    where = f"{result.seen} test images of {escape(DOMAIN_TITLES.get(result.images, result.images))}"
    caption = f'<p class="caption">Accuracy on {where} along the straight path.</p>'
    rows = [
        (f"{s:.0%}", f"{d:.1%}", f"{a:.1%}")
        for s, d, a in zip(result.shares, result.direct, result.aligned, strict=True)
    ]
    table = as_table(("position", "as the files are", "aligned"), rows)
    return f'{caption}<p class="unseen">{description}</p>{table}'


def _pictures(result: Interpolation) -> str:
    rows = []
    for words, values in (("As the files are", result.direct), ("Aligned", result.aligned)):
        pictures = "".join(
            inline_image(to_pixels(picture), f"{share:.0%} of the way")
            for share, picture in zip(result.shares, values, strict=True)
        )
        rows.append(f'<p class="caption">{words}</p><div class="pictures">{pictures}</div>')
    return "".join(rows)
