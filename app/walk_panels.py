"""The path between two networks as HTML: two curves of accuracy, or two rows of pictures."""

from collections.abc import Sequence

import torch

from app.figures import to_pixels
from app.panels import DOMAIN_TITLES, as_table, escape
from app.walking import Walk
from app.widgets import inline_image

WHY = (
    "Hidden units have no order, so two networks may be alike and yet have nothing in common, place by place: halfway "
    "between them lies a network that knows neither. Put into the same order, they are closer."
)


KEYS = (("direct", "as the files are"), ("aligned", "aligned"))


def walked(found: Walk) -> str:
    """What is seen on the way, and how much closer alignment brings the two."""
    moved = found.alignment
    line = (
        f"<p>{moved.moved:,} of {moved.units:,} hidden units changed places. The distance of the two, over the length "
        f"of the first, went from {moved.before:.1%} to <b>{moved.distance:.1%}</b>.</p>"
    )
    seen = _pictures(found) if found.is_pictures else _curves(found)
    return f'<div class="verdict walk">{line}{seen}<p class="caption">{WHY}</p></div>'


def _curves(found: Walk) -> str:
    middle = len(found.shares) // 2
    says = (
        f"Accuracy along the straight path: halfway {found.direct[middle]:.0%} as the files are, "
        f"{found.aligned[middle]:.0%} after alignment."
    )
    lines = "".join(
        f'<polyline class="{kind}" points="{_points(found.shares, values)}"/>'
        for kind, values in (("direct", found.direct), ("aligned", found.aligned))
    )
    grid = "".join(f'<line class="grid" x1="0" x2="100" y1="{y}" y2="{y}"/>' for y in (0, 50, 100))
    box = 'viewBox="0 0 100 100" preserveAspectRatio="none" role="img"'
    svg = f'<svg {box} aria-label="{escape(says, 200)}">{grid}{lines}</svg>'
    keys = "".join(f'<span><i class="{kind}"></i>{words}</span>' for kind, words in KEYS)
    scale = '<div class="up"><span>100%</span><span>50%</span><span>0%</span></div>'
    ends = '<div class="across"><span>the first</span><span>halfway</span><span>the second</span></div>'
    where = f"{found.seen} test images of {escape(DOMAIN_TITLES.get(found.images, found.images))}"
    caption = f'<p class="caption">Accuracy on {where} along the straight path.</p>'
    rows = [
        (f"{s:.0%}", f"{d:.1%}", f"{a:.1%}")
        for s, d, a in zip(found.shares, found.direct, found.aligned, strict=True)
    ]
    table = as_table(("way", "as the files are", "aligned"), rows)
    return f'{caption}<div class="path">{scale}<div>{svg}{ends}</div></div><p class="keys">{keys}</p>{table}'


def _points(shares: Sequence[float], values: Sequence[float]) -> str:
    return " ".join(
        f"{100 * share:.1f},{100 - 100 * value:.2f}" for share, value in zip(shares, values, strict=True)
    )


def _pictures(found: Walk) -> str:
    rows = "".join(
        f'<p class="caption">{words}</p><div class="pictures">{"".join(map(_picture, found.shares, values))}</div>'
        for words, values in (("As the files are", found.direct), ("Aligned", found.aligned))
    )
    return rows


def _picture(share: float, picture: torch.Tensor) -> str:
    return inline_image(to_pixels(picture), f"{share:.0%} of the way")
