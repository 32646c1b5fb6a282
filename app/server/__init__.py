"""How the app is served: requests that are let in, uploads, start and end."""
