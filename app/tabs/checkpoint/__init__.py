"""The Checkpoint tab: describe any file."""
