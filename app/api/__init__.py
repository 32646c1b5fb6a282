"""The endpoints of the app: HTTP and MCP."""
