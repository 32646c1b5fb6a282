"""The Lucky weights tab: winning tickets of untrained networks."""
