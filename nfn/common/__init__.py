"""The helpers of the published `nfn` 0.1.2, under the same names."""

from nfn.convert import params_to_func_params, params_to_state_dicts, state_dict_to_tensors
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.spec import ArraySpec, NetworkSpec

__all__ = [
    "ArraySpec",
    "NetworkSpec",
    "WeightSpaceFeatures",
    "network_spec_from_wsfeat",
    "params_to_func_params",
    "params_to_state_dicts",
    "state_dict_to_tensors",
]
