"""One file per tab: widgets and events only."""
