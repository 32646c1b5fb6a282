"""The linear assignment problem, by shortest augmenting paths.

Crouse, "On implementing 2D rectangular assignment algorithms" (IEEE TAES 2016), which SciPy's `linear_sum_assignment`
follows too; the library needs no SciPy for it. O(n³), the innermost loop in NumPy.
"""

import numpy as np

from nfn.interrupt import between_steps


def best_assignment(gain: np.ndarray) -> np.ndarray:
    """For each row of a square matrix its column, so that the sum of the gains is largest.

    >>> best_assignment(np.array([[1.0, 5.0], [4.0, 2.0]])).tolist()
    [1, 0]
    """
    if gain.ndim != 2 or gain.shape[0] != gain.shape[1] or not np.isfinite(gain).all():
        raise ValueError(f"Got gains of shape {gain.shape}; expected a square matrix of finite numbers.")
    cost = gain.max(initial=0.0) - gain
    count = len(cost)
    rows, columns = np.zeros(count), np.zeros(count)  # the dual variables
    row_of, column_of = np.full(count, -1), np.full(count, -1)
    for row in range(count):
        between_steps()
        _augment(cost, rows, columns, row_of, column_of, row)
    return column_of


def _augment(
    cost: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    row_of: np.ndarray,
    column_of: np.ndarray,
    start: int,
) -> None:
    """Assign a column to `start` along the cheapest augmenting path, and keep the dual variables feasible."""
    count = len(cost)
    distance, parent = np.full(count, np.inf), np.full(count, -1)
    open_columns, seen_rows = np.ones(count, bool), np.zeros(count, bool)
    row, length, sink = start, 0.0, -1
    while sink < 0:
        seen_rows[row] = True
        reached = length + cost[row] - rows[row] - columns
        closer = open_columns & (reached < distance)
        distance[closer], parent[closer] = reached[closer], row
        column = int(np.argmin(np.where(open_columns, distance, np.inf)))
        length = distance[column]
        open_columns[column] = False
        sink, row = (column, row) if row_of[column] < 0 else (-1, row_of[column])
    rows[start] += length
    moved = seen_rows.copy()
    moved[start] = False
    rows[moved] += length - distance[column_of[moved]]
    closed = ~open_columns
    columns[closed] -= length - distance[closed]
    while True:
        row = parent[sink]
        row_of[sink] = row
        column_of[row], sink = sink, column_of[row]
        if row == start:
            return
