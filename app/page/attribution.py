"""Which weights moved an answer from weights alone: what the Pictures and the Accuracy tab say of it."""

from app.page.html import probability_html
from nfn.features import WeightSpaceFeatures

SHOWN = 5
"""Neurons per layer that are named as the most influential."""


def attribution_legend(answer: str, colours: str) -> str:
    """One line on what is drawn; `answer` and `colours` are trusted words."""
    return (
        f'<p class="legend">How much each weight contributed to the {answer} from weights alone: the weight times the '
        f"gradient of the {answer}. {colours}</p>"
    )


def top_neurons(contributions: WeightSpaceFeatures) -> str:
    """The hidden neurons whose weights and biases contributed most, layer by layer, and their fraction of the total.

    `contributions` are those of one network `(1, 1, ...)`, as of `WeightReader.attribution`.
    """
    parts = []
    for i, (weight, bias) in enumerate(list(contributions)[:-1]):
        rows = weight[0, 0].abs().flatten(1).sum(1) + bias[0, 0].abs()
        top = rows.topk(min(SHOWN, len(rows)))
        share = probability_html(float(top.values.sum() / rows.sum().clamp_min(1e-30)))
        neurons = ", ".join(str(int(place) + 1) for place in top.indices)
        parts.append(f"In layer {i + 1}, neurons {neurons} contribute {share}.")
    return " ".join(parts)
