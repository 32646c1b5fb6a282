"""How two checkpoints differ: `compare` reads both, tensor by tensor, and says what kind of copy one is of the other.

`pairs` measures two tensors against each other, `kinds` says what one pair is, `verdict` what all of them are together;
`rank` looks at the difference of a pair.
"""

from nfn.compare.compare import Comparison, compare
from nfn.compare.kinds import Row

__all__ = ["Comparison", "Row", "compare"]
