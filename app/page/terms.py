"""The terms of the field that the page uses, and their meaning: one hover away, and listed in How it works."""

WORDS = {
    "SIREN, or INR": "A small network that is a picture: it maps coordinates to the colour there. "
    "INR is short for implicit neural representation.",
    "CNN": "A network that classifies images with small filters (kernels) that slide over the image.",
    "Test accuracy": "The percentage of images, not seen in training, that a network classifies correctly.",
    "Interval": "The range that contains the true number in nine cases out of ten, as checked on held-out networks.",
    "Unlike the zoo": "The predictor was trained on no network like this one, so its answer is not shown.",
    "PSNR": "How close two pictures are, in decibels. Above 30, the difference is hard to see.",
    "Winning ticket": "A small part of an untrained network that learns nearly as well as the whole network.",
    "Predictor": "A network that reads other networks. Each has a card in the Zoo: what it was trained on, how well it "
    "works, and where it fails.",
}


def term(word: str, key: str | None = None) -> str:
    """`word` as HTML with its meaning at the pointer: that of `key` in `WORDS`, by default of the word itself."""
    return f'<abbr title="{WORDS[key or word]}">{word}</abbr>'
