"""The chosen network as text that the page holds, and as API arguments. Both come from outside and are checked here.

Not a `gr.State`: a page with one keeps a connection open for as long as it is shown.
"""

import base64
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from app.actions import RequestError, Source, part_of
from app.arguments import MAX_TEXT
from app.widgets import keep_files
from nfn.network import ClassifierConvention, Convention, PixelNumber
from nfn.reader.classifier_convention import check_classifier_convention
from nfn.siren_convention.convention import FIELDS, convention_from_json
from zoo.images import IMAGE_SETS
from zoo.remote import HUB_ID


def to_text(source: Source) -> str:
    """A source as the page holds it."""
    return json.dumps(asdict(source))


def from_text(text: str) -> Source:
    """The source that the page holds; RequestError if someone wrote it by hand, and wrongly."""
    try:
        fields = json.loads(text)
        file = None if fields["path"] is None else {"path": fields["path"]}
        zoo_id, convention = fields["zoo_id"], fields["convention"] and _convention(fields["convention"])
        zoo, images, undeclared = _zoo(fields["zoo"]), fields["images"], tuple(fields["undeclared"])
        part, reading = (_name(fields[key]) for key in ("part", "reading"))
        if not set(undeclared) <= set(FIELDS):
            raise ValueError("not parts of a convention")
        if images is not None and images not in IMAGE_SETS:
            raise ValueError("not an image set")
    except (TypeError, KeyError, ValueError) as error:
        raise RequestError("The page has lost track of your network. Please reload it.") from error
    return replace(
        from_request(file, zoo_id),
        convention=convention,
        zoo=zoo,
        images=images,
        part=part,
        reading=reading,
        undeclared=undeclared,
    )


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError("not a name")
    return value


def _convention(fields: dict[str, Any]) -> Convention:
    return _classifier(fields) if "activation" in fields else convention_from_json(fields)


def _classifier(fields: dict[str, Any]) -> ClassifierConvention:
    activation = fields["activation"]
    mean, std = (_pixel_number(fields[key]) for key in ("pixel_mean", "pixel_std"))
    convention = ClassifierConvention(activation, mean, std)
    check_classifier_convention(convention)
    return convention


def _pixel_number(value: Any) -> PixelNumber | None:
    if isinstance(value, list):
        return tuple(float(number) for number in value[:3])
    return None if value is None else float(value)


def _zoo(where: Any) -> str:
    if not isinstance(where, str) or (where and not HUB_ID.fullmatch(where)):
        raise ValueError("not a zoo")
    return where


def from_request(file: Any, zoo_id: Any, part: str = "") -> Source:
    """The source that API arguments name, and the network in its file.

    Gradio passes on what the client sent, whatever the type hints say.
    """
    if zoo_id is not None and not isinstance(zoo_id, str):
        raise RequestError("zoo_id must be text such as mnist-sirens/test/17, or null.")
    return part_of(Source(zoo_id or None, None if file is None else path_of(file)), part)


def files_from_request(files: Any) -> list[str]:
    """Where the uploaded files are that an API argument lists."""
    if not isinstance(files, list):
        raise RequestError("files must be a list of uploaded files.")
    return [path_of(file) for file in files]


def path_of(file: Any) -> str:
    """Where an uploaded file is; a data: URI, which is how MCP clients send a file, is written down first."""
    if isinstance(file, str) and file.startswith("data:"):
        return _keep_data(file)
    if not isinstance(file, dict):
        raise RequestError("file must be an uploaded file, a data: URI in base64, or null.")
    return _checked_path(file.get("path"))


def _keep_data(uri: str) -> str:
    """Where the content of a data: URI was written."""
    head, _, data = uri.partition(",")
    try:
        if not head.endswith(";base64"):
            raise ValueError("not in base64")
        content = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise RequestError("This data: URI is not in base64.") from error

    def write(folder: Path) -> list[Path]:
        (folder / "file").write_bytes(content)
        return [folder / "file"]

    return keep_files(write)[0]


def _checked_path(path: Any) -> str:
    folder = Path(get_upload_folder()).resolve()
    if not isinstance(path, str) or "\0" in path or not Path(path).resolve().is_relative_to(folder):
        raise RequestError("Only files that were uploaded to this app are read.")
    return path
