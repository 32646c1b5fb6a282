"""Record a baseline's figures in a JSON list beside the predictor."""

import json
from pathlib import Path
from typing import Any


def record(path: Path, row: dict[str, Any], same: tuple[str, ...]) -> None:
    """Add a row to the file, replacing one whose entries `same` are equal."""
    rows = json.loads(path.read_text()) if path.exists() else []
    rows = [existing for existing in rows if any(existing[key] != row[key] for key in same)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*rows, row], indent=2) + "\n")
