"""The Zoo tab's pieces of HTML. Names, titles, cards and facts come from strangers: all of it is escaped here."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from app.markdown import card_html
from app.panels import as_table, escape
from app.widgets import inline_image
from app.zoo_browser import ABOUT, PAGE, Shown
from zoo.catalog import CollectionInfo, PredictorInfo, Zoo
from zoo.collection import Collection

BINS = 24
LARGEST = 1e6
"""Of what is drawn as bars: strangers write there what they like, and bars need a width."""
TALLEST = 56
"""Pixels of a histogram's highest bar."""
KINDS = {
    "siren": ("Pictures (SIRENs)", "network"),
    "classifier": ("Image classifiers (CNNs)", "network"),
    "init": ("Untrained networks", "network"),
}
MEASURE_TITLES = {
    "siren": "PSNR in dB",
    "classifier": "Test accuracy",
    "init": "Accuracy of the known ticket",
}
FACT_TITLES = {"psnr": "PSNR", "image_row": "Image", "l2": "L2"}


def origin(zoo: Zoo, notice: str) -> str:
    """Which zoo this is, at which commit, how much is in it; before that why it is not another one."""
    source, networks = zoo.source, sum(info.count for info in zoo.collections())
    size = sum(info.size for info in [*zoo.collections(), *zoo.predictors()])
    link = ""
    if source.url:
        link = f' <a href="{escape(source.url, 500)}" target="_blank" rel="noopener noreferrer">See it on the Hub</a>'
    commit = {"Commit": f"<code>{escape(source.revision)}</code>"} if source.revision else {}
    facts = {
        "Zoo": f"<b>{escape(_zoo_name(zoo))}</b>{link}",
        **commit,
        "Holds": f"{networks:,} networks in {_count(len(zoo.collections()), 'collection')}, "
        f"{_count(len(zoo.predictors()), 'predictor')}, {_megabytes(size)}",
    }
    warning = failure(notice) if notice else ""
    return warning + _definitions(facts)


def _zoo_name(zoo: Zoo) -> str:
    if zoo.source.kind == "embedded":
        return "The embedded zoo, which ships with this app"
    return zoo.source.repo or str(zoo.source)


def failure(text: object) -> str:
    """A sentence on what did not work; what was shown before stays."""
    return f'<p class="line refusal" role="alert">{escape(text, 600)}</p>' if text else ""


def entries(zoo: Zoo, has_card: bool) -> str:
    """The list of what is in a zoo, by kind, to pick from."""
    parts = [_group("About", [_entry(ABOUT, "This zoo's card", "")])] if has_card else []
    for kind, (title, one) in KINDS.items():
        infos = [info for info in zoo.collections() if info.kind == kind]
        parts.append(_group(title, [_entry(i.name, i.title, _count(i.count, one)) for i in infos]))
    predictors = [_entry(i.name, i.title, f"{i.task}, {_megabytes(i.size)}") for i in zoo.predictors()]
    return "".join([*parts, _group("Predictors", predictors)])


def _group(title: str, items: Sequence[str]) -> str:
    return f'<h3>{title}</h3><div class="zoo-group">{"".join(items)}</div>' if items else ""


def _entry(name: str, title: str, note: str) -> str:
    return (
        f'<button type="button" class="zoo-entry" data-pick="{escape(name)}"><b>{escape(title)}</b>'
        f"<span>{escape(note)}</span></button>"
    )


def about_collection(info: CollectionInfo, opened: Collection) -> str:
    """A collection's title and where it comes from: architecture, recipe, images and their licence."""
    spec = opened.spec
    splits = ", ".join(f"{count:,} {split}" for split, count in info.splits.items())
    facts = {
        "Networks": f"{info.count:,} ({escape(splits)}), {spec.network.get_num_params():,} weights each",
        "Layers": escape(" → ".join("×".join(map(str, w.shape)) for w in spec.network.weight_spec), 200),
        "Images": f"{escape(spec.images.get('repo') or spec.images.get('name'))}, licence {escape(info.licence)}",
    }
    built = f"<details><summary>How it was built</summary><p>{escape(_joined(spec.build), 400)}</p></details>"
    return f"<h2>{escape(info.title)}</h2><p><code>{escape(info.name)}</code></p>{_definitions(facts)}{built}"


def about_predictor(info: PredictorInfo, card: str) -> str:
    """A predictor's title, its files, and its card."""
    files = "<br>".join(
        f"{escape(f.name)}, {_megabytes(f.size)}, <code>sha256 {escape(f.sha256[:16])}…</code>"
        for f in info.files
    )
    prose = card_html(card) if card.strip() else '<p class="line">It came without a card.</p>'
    return (
        f"<h2>{escape(info.title)}</h2><p><code>{escape(info.name)}</code>, {escape(info.task)}</p>"
        f"<details><summary>{_count(len(info.files), 'file')}, {_megabytes(info.size)}</summary>"
        f"<p>{files}</p></details>"
        f"{prose}"
    )


def about_zoo(card: str) -> str:
    """The card of a whole zoo."""
    return f"<h2>This zoo's card</h2>{card_html(card)}"


def histogram(kind: str, shown: Shown, chosen: float | None) -> str:
    """How good the networks are that pass the filter, as bars; the chosen one is marked."""
    values = shown.values[np.isfinite(shown.values)].clip(-LARGEST, LARGEST).round(6)
    if len(values) == 0:
        return '<p class="line">No network passes this filter.</p>'
    counts, edges = np.histogram(values, BINS)
    scale = 1 if kind == "siren" else 100
    low, high, middle = (float(x) * scale for x in (edges[0], edges[-1], np.median(values)))
    unit = " dB" if kind == "siren" else "%"
    words = f"from {low:.1f} to {high:.1f}{unit}, half of them above {middle:.1f}{unit}"
    bars = "".join(
        f'<rect x="{i}" y="{1 - h:.4f}" width="0.9" height="{h:.4f}"/>'
        for i, h in enumerate(counts / counts.max())
    )
    return (
        f'<figure class="zoo-histogram"><figcaption>{MEASURE_TITLES[kind]}: {words}</figcaption>'
        f'<svg role="img" aria-label="{MEASURE_TITLES[kind]} of {shown.count} networks, {words}" '
        f'viewBox="0 0 {BINS} 1" preserveAspectRatio="none" height="{TALLEST}">{bars}{_mark(edges, chosen)}</svg>'
        f"<div><span>{low:.1f}{unit}</span><span>{high:.1f}{unit}</span></div>"
        f"{_histogram_table(counts, edges * scale, MEASURE_TITLES[kind])}</figure>"
    )


def _histogram_table(counts: np.ndarray, edges: np.ndarray, title: str) -> str:
    rows = [(f"{a:.1f} to {b:.1f}", n) for n, a, b in zip(counts, edges, edges[1:], strict=False) if n]
    return as_table([title, "networks"], rows)


def _mark(edges: np.ndarray, chosen: float | None) -> str:
    if chosen is None or not isfinite(chosen) or edges[-1] == edges[0]:
        return ""
    place = BINS * (chosen - edges[0]) / (edges[-1] - edges[0])
    return (
        f'<rect class="chosen" x="{min(max(place - 0.1, 0), BINS - 0.2):.3f}" y="0" width="0.2" height="1"/>'
    )


def gallery(ids: Sequence[str], images: Sequence[np.ndarray], rows: Sequence[Mapping[str, Any]]) -> str:
    """A page of networks as pictures to pick, each with what is known of it below."""
    items = [_thumbnail(*item) for item in zip(ids, images, rows, strict=True)]
    return f'<div class="zoo-gallery">{"".join(items)}</div>'


def _thumbnail(zoo_id: str, image: np.ndarray, row: Mapping[str, Any]) -> str:
    name, caption = escape(zoo_id), escape(_caption(row), 24)
    title = f'title="{name}" aria-label="{name}, {caption}"'
    return f'<button type="button" data-pick="{name}" {title}>{inline_image(image, "")}<span>{caption}</span></button>'


def _caption(row: Mapping[str, Any]) -> str:
    accuracy = row.get("test_accuracy", row.get("ticket_accuracy"))
    return str(row["label"]) if accuracy is None else f"{100 * accuracy:.1f}%"


def pager(shown: Shown) -> str:
    """Which networks of how many are shown, and the way to the others."""
    first = shown.page * PAGE + 1 if shown.count else 0
    text = f"{first:,} to {first + len(shown.places) - 1:,} of {shown.count:,}" if shown.count else "0"
    if shown.count <= PAGE:
        return f'<div class="zoo-pager"><span>{_count(shown.count, "network")}</span></div>'
    return (
        f'<div class="zoo-pager">{_step("-1", "Previous", shown.page == 0)}<span>{text}</span>'
        f"{_step('1', 'Next', first + len(shown.places) > shown.count)}</div>"
    )


def _step(value: str, text: str, off: bool) -> str:
    return f'<button type="button" data-pick="{value}" data-step{" disabled" if off else ""}>{text}</button>'


def network(image: np.ndarray, row: Mapping[str, Any], source: object) -> str:
    """One network: its picture, and a table of all that is known of it."""
    facts = {_title(key): escape(_value(key, value)) for key, value in row.items() if key != "id"}
    picture = inline_image(image, f"what {escape(row['id'])} draws, or the weights of its first layer")
    return (
        f'<div class="zoo-network"><figure>{picture}</figure><div><h2>{escape(row["id"])}</h2>'
        f"<p>{escape(source)}</p>{_definitions(facts)}</div></div>"
    )


def _title(key: str) -> str:
    return FACT_TITLES.get(key) or escape(key.replace("_", " ").capitalize())


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return "none" if value is None else str(value)
    if key.endswith("accuracy"):
        return f"{100 * value:.1f}%"
    return f"{value:.1f} dB" if key == "psnr" else f"{value:.4g}"


def _definitions(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<div><dt>{key}</dt><dd>{value}</dd></div>" for key, value in facts.items())
    return f'<dl class="zoo-facts">{rows}</dl>'


def _joined(facts: Mapping[str, object]) -> str:
    said = {
        key.replace("_", " "): value
        for key, value in facts.items()
        if value is not False and value is not None
    }
    return ", ".join(key if value is True else f"{key} {_plain(value)}" for key, value in said.items())


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " and ".join(f"({_plain(item)})" for item in value)
    return _joined(value) if isinstance(value, dict) else str(value)


def _count(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
