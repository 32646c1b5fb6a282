"""The installed package: `weightscope.nfn`, `weightscope.zoo` and `weightscope.app`, and the command `weightscope`."""
