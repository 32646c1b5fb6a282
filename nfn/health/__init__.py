"""Whether a checkpoint is healthy, read tensor by tensor in memory that stays flat.

`examine` gives a `Health`: `measure` reads each tensor once, `initial` compares its values with the usual
initializations, `rules` turns what was measured into `Finding`s. `spectrum` describes single weights.
"""

from nfn.health.examine import Health, examine, examine_in_steps
from nfn.health.findings import Finding
from nfn.health.spectrum import Spectrum, spectra, spectrum_of

__all__ = ["Finding", "Health", "Spectrum", "examine", "examine_in_steps", "spectra", "spectrum_of"]
