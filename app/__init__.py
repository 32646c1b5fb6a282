"""The web app: tabs (widgets and events), actions (what buttons do, no gradio), HTML, figures, alerts, API."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported, so set here, first
