"""Conventions of SIRENs: their parameters (`convention`), and the search for undeclared ones (`search`)."""
