"""What all tabs share: cards, links, widgets, alerts, look."""
