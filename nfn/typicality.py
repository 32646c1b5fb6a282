"""Tell networks that show one of the classes which a reader knows from networks that show something else."""

from nfn.standardized_head import StandardizedHead


class TypicalityHead(StandardizedHead):
    """A small net on what a trained reader sees of a network: a logit, above 0 where one of its classes is likelier.

    It learns from pictures of other things, which the reader never saw ("outlier exposure", arXiv:1812.04606); the
    reader stays as it is, and so do its answers.
    """

    def __init__(self, inputs: int, hidden: int = 24):
        super().__init__(inputs, hidden, dropouts=(0.2, 0.3))
