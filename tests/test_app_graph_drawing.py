"""The drawing of a network: everything is in it, nothing overlaps, groups have their colours, names cannot harm."""

import json
import random
import re
import time
import xml.etree.ElementTree as ElementTree
from functools import cache

import numpy as np
import pytest
import torch
from architecture_zoo import ZOO, build
from browsing import HOSTILE
from torch import nn

import nfn
from app.page.theme import STYLESHEET, build_theme
from app.tabs.generalization.graph_boxes import boxes_of, groups_of_values, learned
from app.tabs.generalization.graph_drawing import graph_drawing
from app.tabs.generalization.graph_layout import LONGEST_PERIOD, Step, lanes_of, parts_of
from app.tabs.generalization.tab import TAB
from nfn.architecture import Architecture, ArchitectureError, axes_of
from nfn.architecture.ops import Activation, Add, Conv


def deep_mlp():
    hidden = [layer for _ in range(20) for layer in (nn.Linear(30, 30), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 30), nn.ReLU(), *hidden, nn.Linear(30, 10))


@cache
def traced(name):
    if name == "deep_mlp":
        return nfn.trace(deep_mlp(), (1, 4, 4))
    return nfn.trace(build(name), ZOO[name].shape)


def drawn(architecture):
    return graph_drawing(architecture, axes_of(architecture))


def svgs(html):
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.S)]


def texts(html):
    return [text for svg in svgs(html) for node in svg.iter("text") for text in node.itertext()]


NAMES = [*ZOO, "deep_mlp"]


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_counted_once_and_every_step_stands_in_the_table(name):
    architecture = traced(name)
    boxes = boxes_of(architecture)
    counted = {tensor for op in architecture.ops for tensor in learned(op)}
    assert sum(box.parameters for box in boxes) == sum(np.prod(architecture.shapes[t]) for t in counted)
    html = drawn(architecture)
    assert html.count("<tr>") == len(boxes) + 1
    assert f"A network of {len(boxes)} steps" in html
    assert all(f"<td>{number}</td>" in html for number in range(1, len(boxes) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_boxes_are_linked_as_the_ops_are(name):
    architecture = traced(name)
    boxes = boxes_of(architecture)
    made = {0} | {box.output for box in boxes}
    assert boxes[-1].output == len(architecture.ops)
    for number, box in enumerate(boxes):
        assert set(box.inputs) <= {0} | {other.output for other in boxes[:number]}
    assert all(value in made for box in boxes for value in box.inputs)


def random_steps(draw, count):
    """Steps that take the one before, and now and then others; all are needed."""
    steps = []
    for number in range(count):
        others = draw.sample(range(-1, number), min(number, draw.choice((0, 0, 0, 1, 2))))
        steps.append(Step(tuple({number - 1, *others}), (draw.choice("ab"),)))
    return steps


@pytest.mark.parametrize("seed", range(60))
def test_every_link_is_a_line_or_a_lane_and_lanes_do_not_overlap(seed):
    steps = random_steps(random.Random(seed), 4 + seed)
    parts = parts_of(steps)
    assert [step for part in parts for r in part.repetitions for step in r] == list(range(len(steps)))
    for part in parts:
        first, lanes = part.steps[0], lanes_of(steps, part)
        links = {(first + lane.source, first + to) for lane in lanes for to in lane.to}
        links |= {(step - 1, step) for step in part.steps if step - 1 in steps[step].inputs}
        assert links == {(source, step) for step in part.steps for source in steps[step].inputs}
        for one in lanes:
            for other in lanes:
                apart = one.to[-1] <= other.source or other.to[-1] <= one.source
                assert one is other or one.lane != other.lane or apart


@pytest.mark.parametrize("seed", range(30))
def test_drawing_is_deterministic(seed):
    draw = random.Random(seed)
    block = random_steps(draw, draw.choice((2, 3, 4)))
    times = draw.choice((2, 3, 7))
    steps = random_steps(draw, 12)
    for _ in range(times):
        start = len(steps)
        steps += [Step(tuple(i + start for i in step.inputs), (*step.look, "block")) for step in block]
    parts = parts_of(steps)
    repeated = [part for part in parts if len(part.repetitions) > 1]
    assert len(block) > LONGEST_PERIOD or any(
        len(part.repetitions) >= times and len(part.steps) <= len(block) for part in repeated
    )
    for part in repeated:
        looks = [[steps[i].look for i in r] for r in part.repetitions]
        assert all(look == looks[0] for look in looks)


def test_the_blocks_of_a_resnet_are_counted_and_their_groups_named():
    html = drawn(traced("resnet20"))
    assert [t for t in texts(html) if t.endswith(" times")] == ["3 times", "2 times", "2 times"]
    assert len(svgs(html)) < len(boxes_of(traced("resnet20")))
    assert html.count('<span class="chip') == len(axes_of(traced("resnet20")).hidden) == 12
    assert sum(t == "Add" for t in texts(html)) == 5


@pytest.mark.parametrize(
    "name", ["resnet20", "resnet18", "densenet", "squeeze-excitation", "inception", "lenet5"]
)
def test_the_groups_of_a_value_are_those_that_move_its_channels(name):
    """Permuting one group moves the channels that are said to be of this group, and no others."""
    architecture = traced(name)
    axes = axes_of(architecture)
    tensors = {n: torch.rand(shape, dtype=torch.float64) + 0.1 for n, shape in architecture.shapes.items()}
    x, everything = (
        torch.randn(2, *architecture.input_shape, dtype=torch.float64),
        set(range(len(architecture.values))),
    )
    before = architecture.trace(tensors, x, everything)
    found = groups_of_values(architecture, axes)
    for group in axes.hidden:
        order = np.roll(np.arange(axes.groups[group].size), 1)
        after = architecture.trace(axes.permute(tensors, {group: order}), x, everything)
        for value in everything:
            same = torch.isclose(before[value], after[value]).flatten(2) if before[value].dim() > 2 else None
            moved = (
                ~(torch.isclose(before[value], after[value]) if same is None else same.all(2)).all(0).numpy()
            )
            assert not (moved & (found[value] != group)).any(), f"value {value}"


@pytest.mark.parametrize("name", NAMES)
def test_groups_that_meet_in_a_tensor_have_different_colours(name):
    axes, html = axes_of(traced(name)), drawn(traced(name))
    colours = {
        int(number): colour for colour, number in re.findall(r'class="chip (g\d+)"><b>(\d+)</b>', html)
    }
    for piece in axes.pieces:
        groups = {g for labels in piece.axes if labels is not None for g in labels.group.tolist()}
        numbers = [axes.hidden.index(g) + 1 for g in groups if g in axes.hidden]
        shown = [colours[number] for number in numbers if number in colours]
        assert len(set(shown)) == len(shown)


def test_names_are_escaped():
    name = HOSTILE + '"&' + "x" * 500
    ops = (
        Conv(inputs=(0,), weight=f"{name}.weight"),
        Conv(inputs=(1,), weight=f"{name}2.weight"),
        Activation(inputs=(2,), function="relu"),
    )
    shapes = {f"{name}.weight": (4, 1, 1, 1), f"{name}2.weight": (3, 4, 1, 1)}
    html = drawn(Architecture((1, 4, 4), ops, shapes))
    assert "<img" not in html
    assert 'x"&' not in html
    ElementTree.fromstring(f"<div>{html.replace('&times;', '×')}</div>")


def test_drawings_have_names_for_screen_readers():
    html = drawn(traced("lenet5"))
    assert 'role="img" aria-label="A network of 8 steps and 61,706 parameters' in html
    assert "from an input of 1 × 28 × 28 to an output of 10." in html
    assert svgs(html)[0].get("aria-hidden") == "true"
    assert "<summary>The steps as a table</summary>" in html


def test_a_network_without_hidden_units():
    html = drawn(nfn.trace(nn.Linear(3, 2), (3,)))
    assert "No units of this network can be permuted." in html
    assert texts(html)[:2] == ["Input", "3"]


def test_the_largest_networks_are_drawn_in_part_and_in_time():
    deep = Architecture((4,), tuple(Activation(inputs=(i,), function="relu") for i in range(1_999)), {})
    sums = (Add(inputs=tuple(range(max(0, i - 60), i + 1))) for i in range(1, 900))
    crowded = Architecture((4,), (Activation(inputs=(0,), function="relu"), *sums), {})
    for architecture in (deep, crowded):
        start = time.process_time()
        html = drawn(architecture)
        assert len(html) < 1_500_000
        assert time.process_time() - start < 20
    assert "more steps" in drawn(crowded)


JUNK = (None, True, -1, 0, 1, 2, 7, 10**6, 0.5, "", "relu", "0.weight", [1], [2, 2], [1, 2, 3, 4])


@pytest.mark.parametrize("name", ["resnet18", "inception", "squeeze-excitation"])
def test_every_architecture_can_be_drawn(name):
    text, draw, count = traced(name).to_json(), random.Random(0), 0
    for _ in range(600):
        document = json.loads(text)
        op = draw.choice(document["ops"])
        key = draw.choice([key for key in op if key != "kind"])
        if isinstance(op[key], list) and draw.random() < 0.7:
            op[key][draw.randrange(len(op[key]))] = draw.choice((0, 1, 2, 3, 4, 5, 6))
        else:
            op[key] = draw.choice(JUNK)
        try:
            architecture = Architecture.from_json(json.dumps(document))
        except ArchitectureError:
            continue
        count += 1
        assert svgs(drawn(architecture))
    assert count > 20


@pytest.fixture(scope="module")
def opened(chromium):
    """Opens a drawing on a page of ours, of a width, light or dark."""
    css = build_theme()._get_theme_css() + "".join(
        sheet.read_text(encoding="utf-8") for sheet in (STYLESHEET, TAB.stylesheet) if sheet
    )
    pages = []

    def show(html, width, dark):
        page = chromium.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        scheme = "dark" if dark else ""
        page.set_content(
            f"<html class='{scheme}'><style>* {{ box-sizing: border-box }} body {{ margin: 0; color: "
            f"var(--body-text-color); font-family: var(--font) }} {css}</style><body class='{scheme}'><div class="
            f"'gradio-container'><div class='main fillable'><div class='card'>{html}</div></div></div></body></html>"
        )
        return page

    yield show
    for page in pages:
        page.close()


NO_OVERLAP = """() => {
  const faults = [], box = node => node.getBoundingClientRect();
  for (const svg of document.querySelectorAll(".graph-part")) {
    const edge = box(svg), words = [...svg.querySelectorAll("text")].map(box);
    if (words.some(w => w.right > edge.right + 1 || w.left < edge.left - 1)) faults.push("text leaves the drawing");
    words.forEach((a, i) => words.slice(i + 1).forEach(b => {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 5) faults.push("two texts overlap");
    }));
  }
  if (document.documentElement.scrollWidth > window.innerWidth + 1) faults.push("the page is too wide");
  return faults;
}"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "name", ["resnet20", "densenet", "siren-3", "lenet5", "deep_mlp", "inception", "mobilenet-v2"]
)
def test_everything_can_be_read_on_wide_and_narrow_screens(opened, name, width):
    page = opened(drawn(traced(name)), width, False)
    assert page.evaluate(NO_OVERLAP) == []
    columns = page.evaluate(
        "new Set([...document.querySelectorAll('.graph-part')].map(s => s.getBoundingClientRect().left)).size"
    )
    assert columns == (3 if width == 1280 and name == "resnet20" else columns)
    assert width == 1280 or columns == 1


CONTRAST = """() => {
  const luminance = colour => {
    const linear = v => v <= 0.04 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return [...document.querySelectorAll(".graph-groups b")].map(b => {
    const style = getComputedStyle(b), pair = [style.color, style.backgroundColor].map(luminance).sort((x, y) => y - x);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  });
}"""


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_the_groups_numbers_stand_out_from_their_colours(opened, dark):
    ratios = opened(drawn(traced("resnet20")), 1280, dark).evaluate(CONTRAST)
    assert len(ratios) == 12
    assert min(ratios) >= 4.5
