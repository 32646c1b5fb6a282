"""How files write SIRENs down: what there is to say of one (`convention`), and how it is found (`search`)."""
