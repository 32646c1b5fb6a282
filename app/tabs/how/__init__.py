"""The how tab: how it works."""
