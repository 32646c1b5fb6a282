"""Convert the chosen network from and to text in the page, and from API arguments. Both are untrusted, checked here.

The page does not use `gr.State`, which keeps a connection open for as long as the page is open.
"""

import base64
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gradio.utils import get_upload_folder

from app.networks.arguments import MAX_TEXT
from app.networks.source import Source, with_part
from app.page.widgets import store_files
from app.runtime.errors import RequestError
from nfn.network import ClassifierConvention, Convention, PixelNumber
from nfn.reader.classifier_convention import check_classifier_convention
from nfn.siren_convention.convention import FIELDS, convention_from_json
from zoo.images import IMAGE_SETS
from zoo.remote import HUB_ID

OWN_FILES = "/gradio_api/file="
"""The URL of a file that was uploaded to this app is this, followed by its path."""


def to_text(source: Source) -> str:
    """A source as text for the page."""
    return json.dumps(asdict(source))


def from_text(text: str) -> Source:
    """Parse the page's source; RequestError if the text is invalid."""
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
    """The convention of a classifier, if it has an activation, or else of a SIREN."""
    if "activation" not in fields:
        return convention_from_json(fields)
    mean, std = (_pixel_number(fields[key]) for key in ("pixel_mean", "pixel_std"))
    convention = ClassifierConvention(fields["activation"], mean, std)
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
    return with_part(Source(zoo_id or None, None if file is None else path_of(file)), part)


def hub_id_from_request(hub_id: Any, file: Any, zoo_id: Any) -> str | None:
    """The id of a model on the Hub in an API argument, instead of a file or a zoo id; None if it is absent."""
    if hub_id and (file is not None or zoo_id is not None or not isinstance(hub_id, str)):
        raise RequestError("hub_id must be text such as openai-community/gpt2, without file or zoo_id.")
    return hub_id or None


def files_from_request(files: Any) -> list[str]:
    """The paths of the uploaded files in an API argument."""
    if not isinstance(files, list):
        raise RequestError("files must be a list of uploaded files.")
    return [path_of(file) for file in files]


def path_of(file: Any) -> str:
    """The path of an uploaded file. MCP clients send text: the file's URL here, or a data: URI with its content."""
    if isinstance(file, str) and file.startswith("data:"):
        return _keep_data(file)
    if isinstance(file, str) and OWN_FILES in file:
        return _checked_path(unquote(urlsplit(file).path).partition(OWN_FILES)[2])
    if not isinstance(file, dict):
        raise RequestError("A file must be uploaded to this app, or sent as a data: URI in base64.")
    return _checked_path(file.get("path"))


def _keep_data(uri: str) -> str:
    """Store the content of a data: URI and return its path."""
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

    return store_files(write)[0]


def _checked_path(path: Any) -> str:
    folder = Path(get_upload_folder()).resolve()
    if not isinstance(path, str) or "\0" in path or not Path(path).resolve().is_relative_to(folder):
        raise RequestError("Only files that were uploaded to this app are read.")
    return path
