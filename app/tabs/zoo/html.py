"""The HTML of the Zoo tab. Names, titles, cards and facts are untrusted, and escaped here."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from app.page.html import as_table, escape, failure
from app.page.markdown import card_html
from app.page.widgets import inline_image
from app.tabs.zoo.browse import ABOUT, PAGE, NetworkPage
from nfn.spec import NetworkSpec
from zoo.catalog import CollectionInfo, PredictorInfo, Zoo
from zoo.collection import Collection
from zoo.families import FAMILIES
from zoo.families.family import Measure

BINS = 24
MAX_VALUE = 1e6
"""Values in a histogram are clipped to this: they are untrusted, and bars need a finite width."""
HISTOGRAM_HEIGHT = 56
"""Height of a histogram in pixels."""
FACT_TITLES = {"psnr": "PSNR", "image_row": "Image", "l2": "L2"}


def origin(zoo: Zoo, notice: str) -> str:
    """The zoo's name, commit and size, after the notice why another zoo is not shown, if any."""
    source, networks = zoo.source, sum(info.count for info in zoo.collections())
    size = sum(info.size for info in [*zoo.collections(), *zoo.predictors()])
    link = ""
    if source.url:
        link = f' <a href="{escape(source.url, 500)}" target="_blank" rel="noopener noreferrer">See it on the Hub</a>'
    commit = {"Commit": f"<code>{escape(source.revision)}</code>"} if source.revision else {}
    name = "The embedded zoo of this app" if source.kind == "embedded" else source.repo or str(source)
    facts = {
        "Zoo": f"<b>{escape(name)}</b>{link}",
        **commit,
        "Contains": f"{networks:,} networks in {_count(len(zoo.collections()), 'collection')}, "
        f"{_count(len(zoo.predictors()), 'predictor')}, {_megabytes(size)}",
    }
    warning = failure(notice) if notice else ""
    return warning + _definitions(facts)


def entries(zoo: Zoo, has_card: bool) -> str:
    """The entries of a zoo, by kind, to pick from."""
    parts = [_group("About", [_entry(ABOUT, "This zoo's card", "")])] if has_card else []
    for kind, family in FAMILIES.items():
        infos = [info for info in zoo.collections() if info.kind == kind]
        items = [_entry(i.name, i.title, _count(i.count, "network")) for i in infos]
        parts.append(_group(family.title, items))
    predictors = [_entry(i.name, i.title, f"{i.task}, {_megabytes(i.size)}") for i in zoo.predictors()]
    return "".join([*parts, _group("Predictors", predictors)])


def _group(title: str, items: Sequence[str]) -> str:
    return f'<h3>{title}</h3><div class="zoo-group" data-one-stop>{"".join(items)}</div>' if items else ""


def _entry(name: str, title: str, note: str) -> str:
    return (
        f'<button type="button" class="zoo-entry" data-pick="{escape(name)}"><b>{escape(title)}</b>'
        f"<span>{escape(note)}</span></button>"
    )


def about_collection(info: CollectionInfo, opened: Collection) -> str:
    """A collection's title, architecture, training recipe, images and their licence."""
    spec = opened.spec
    splits = ", ".join(f"{count:,} {split}" for split, count in info.splits.items())
    facts = {
        "Networks": f"{info.count:,} ({escape(splits)})",
        **_layer_facts(spec.layers),
        "Images": f"{escape(spec.images.get('repo') or spec.images.get('name'))}, licence {escape(info.licence)}",
    }
    built = f"<details><summary>How it was built</summary><p>{escape(_joined(spec.build), 400)}</p></details>"
    return f"<h2>{escape(info.title)}</h2><p><code>{escape(info.name)}</code></p>{_definitions(facts)}{built}"


def _layer_facts(layers: NetworkSpec | None) -> dict[str, str]:
    if layers is None:
        return {"Layers": "an architecture of its own for each network"}
    shapes = " → ".join("×".join(map(str, weight.shape)) for weight in layers.weight_spec)
    return {"Weights": f"{layers.get_num_params():,} each", "Layers": escape(shapes, 200)}


def about_predictor(info: PredictorInfo, card: str) -> str:
    """A predictor's title, files and card."""
    files = "<br>".join(
        f"{escape(f.name)}, {_megabytes(f.size)}, <code>sha256 {escape(f.sha256[:16])}…</code>"
        for f in info.files
    )
    prose = card_html(card) if card.strip() else '<p class="line">This predictor has no card.</p>'
    return (
        f"<h2>{escape(info.title)}</h2><p><code>{escape(info.name)}</code>, {escape(info.task)}</p>"
        f"<details><summary>{_count(len(info.files), 'file')}, {_megabytes(info.size)}</summary>"
        f"<p>{files}</p></details>"
        f"{prose}"
    )


def about_zoo(card: str) -> str:
    """The card of a zoo."""
    return f"<h2>This zoo's card</h2>{card_html(card)}"


def histogram(measure: Measure, page: NetworkPage, chosen: float | None) -> str:
    """A histogram of the measure of all networks that pass the filter; the chosen network is marked."""
    values = page.values[np.isfinite(page.values)].clip(-MAX_VALUE, MAX_VALUE).round(6)
    if len(values) == 0:
        return '<p class="line">No network matches this filter.</p>'
    counts, edges = np.histogram(values, BINS)
    low, high, middle = (measure.text(x) for x in (edges[0], edges[-1], np.median(values)))
    words = f"from {low} to {high}, half of them above {middle}"
    bars = "".join(
        f'<rect x="{i}" y="{1 - h:.4f}" width="0.9" height="{h:.4f}"/>'
        for i, h in enumerate(counts / counts.max())
    )
    return (
        f'<figure class="zoo-histogram"><figcaption>{measure.title}: {words}</figcaption>'
        f'<svg role="img" aria-label="{measure.title} of {page.count} networks, {words}" '
        f'viewBox="0 0 {BINS} 1" preserveAspectRatio="none" height="{HISTOGRAM_HEIGHT}">'
        f"{bars}{_mark(edges, chosen)}</svg>"
        f"<div><span>{low}</span><span>{high}</span></div>"
        f"{_histogram_table(counts, edges, measure)}</figure>"
    )


def _histogram_table(counts: np.ndarray, edges: np.ndarray, measure: Measure) -> str:
    texts = [measure.text(edge) for edge in edges]
    rows = [(f"{a} to {b}", n) for n, a, b in zip(counts, texts, texts[1:], strict=False) if n]
    return as_table([measure.title, "networks"], rows)


def _mark(edges: np.ndarray, chosen: float | None) -> str:
    if chosen is None or not isfinite(chosen) or edges[-1] == edges[0]:
        return ""
    place = BINS * (chosen - edges[0]) / (edges[-1] - edges[0])
    return (
        f'<rect class="chosen" x="{min(max(place - 0.1, 0), BINS - 0.2):.3f}" y="0" width="0.2" height="1"/>'
    )


def gallery(
    ids: Sequence[str], images: Sequence[np.ndarray], rows: Sequence[Mapping[str, Any]], measure: Measure
) -> str:
    """A page of networks as pictures to pick, each with its label, or else its quality."""
    items = [_thumbnail(*item, measure) for item in zip(ids, images, rows, strict=True)]
    return f'<div class="zoo-gallery" data-one-stop>{"".join(items)}</div>'


def _thumbnail(zoo_id: str, image: np.ndarray, row: Mapping[str, Any], measure: Measure) -> str:
    text = row["label"] if "label" in row else measure.text(row[measure.column])
    name, caption = escape(zoo_id), escape(text, 24)
    words = f"{name}, {escape(row['architecture'])}" if "architecture" in row else name
    title = f'title="{words}" aria-label="{words}, {caption}"'
    return f'<button type="button" data-pick="{name}" {title}>{inline_image(image, "")}<span>{caption}</span></button>'


def pager(page: NetworkPage) -> str:
    """The range of networks on the page, and buttons to the other pages."""
    first = page.page * PAGE + 1 if page.count else 0
    text = f"{first:,} to {first + len(page.places) - 1:,} of {page.count:,}" if page.count else "0"
    if page.count <= PAGE:
        return f'<div class="zoo-pager"><span>{_count(page.count, "network")}</span></div>'
    return (
        f'<div class="zoo-pager">{_step("-1", "Previous", page.page == 0)}<span>{text}</span>'
        f"{_step('1', 'Next', first + len(page.places) > page.count)}</div>"
    )


def _step(value: str, text: str, off: bool) -> str:
    return f'<button type="button" data-pick="{value}" data-step{" disabled" if off else ""}>{text}</button>'


def network(image: np.ndarray, row: Mapping[str, Any], source: object) -> str:
    """One network: its picture, and a table of its facts."""
    facts = {_title(key): escape(_value(key, value)) for key, value in row.items() if key != "id"}
    picture = inline_image(image, f"the picture of {escape(row['id'])}, or the weights of its first layer")
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
    known = {
        key.replace("_", " "): value
        for key, value in facts.items()
        if value is not False and value is not None
    }
    return ", ".join(key if value is True else f"{key} {_plain(value)}" for key, value in known.items())


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " and ".join(f"({_plain(item)})" for item in value)
    return _joined(value) if isinstance(value, dict) else str(value)


def _count(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
