"""Where baselines leave their rows of figures: a JSON list beside the predictor."""

import json
from pathlib import Path
from typing import Any


def record(path: Path, row: dict[str, Any], same: tuple[str, ...]) -> None:
    """Put a row into the file in place of one that agrees with it in the entries `same`."""
    rows = json.loads(path.read_text()) if path.exists() else []
    rows = [known for known in rows if any(known[key] != row[key] for key in same)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*rows, row], indent=2) + "\n")
