"""The Any file tab: describe any file."""
