"""Device, threads, memory, cost limits. Imports nothing else of the app."""
