"""The Zoo tab: browse zoos."""
