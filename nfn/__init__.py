"""Neural functional networks: networks that take the weights of other networks as input or output."""

from nfn.architecture import Architecture, ArchitectureError
from nfn.architecture.trace import trace
from nfn.classifier import InrClassification, InrClassifier
from nfn.editor import InrEdit, InrEditor
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.network import ClassifierConvention, Network, SirenConvention
from nfn.operators import STYLES, apply_style
from nfn.reader import NetworkFileError, read_network, write_network
from nfn.save import save
from nfn.siren import fit_sirens, render
from nfn.spec import ArraySpec, NetworkSpec

__version__ = "0.1.0"

__all__ = [
    "STYLES",
    "Architecture",
    "ArchitectureError",
    "ArraySpec",
    "ClassifierConvention",
    "InrClassification",
    "InrClassifier",
    "InrEdit",
    "InrEditor",
    "Network",
    "NetworkFileError",
    "NetworkSpec",
    "SirenConvention",
    "WeightSpaceFeatures",
    "apply_style",
    "fit_sirens",
    "network_spec_from_wsfeat",
    "read_network",
    "render",
    "save",
    "trace",
    "write_network",
]
