"""What is said of an ONNX file that cannot be read."""

from nfn.reader.errors import EXPORT_ADVICE, ONNX_EXPORT, NetworkFileError

AGAIN = f"Export it again: {ONNX_EXPORT}."
"""What to do about a file that is damaged, or was made in another way."""
WEIGHTS = f"Its weights alone may still be read. {EXPORT_ADVICE}"
"""What to do about a network whose graph has what is not known here."""


class OnnxError(NetworkFileError):
    """An ONNX file is not a network that can be read; the message is meant for the person who chose the file."""


def invalid(fault: str, advice: str = AGAIN) -> OnnxError:
    """An error about the file as a whole."""
    return OnnxError(f"This ONNX file cannot be read: {fault}. {advice}")
