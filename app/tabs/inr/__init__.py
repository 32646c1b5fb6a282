"""The inr tab: pictures that are networks."""
