"""Errors of the ONNX reader."""

from nfn.reader.errors import EXPORT_ADVICE, ONNX_EXPORT, NetworkFileError

AGAIN = f"Export it again: {ONNX_EXPORT}."
"""Advice for a damaged or unusual file."""
WEIGHTS = f"Its weights alone may still be read. {EXPORT_ADVICE}"
"""Advice for a network with an unsupported operator."""


class OnnxError(NetworkFileError):
    """An ONNX file is not a supported network; the message is for the person who chose the file."""


def invalid(fault: str, advice: str = AGAIN) -> OnnxError:
    """An error about the file as a whole."""
    return OnnxError(f"This ONNX file cannot be read: {fault}. {advice}")
