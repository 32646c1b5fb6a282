"""Entry of the app: `python app.py` serves it on GRADIO_SERVER_PORT (7860 where that is not set)."""

from app.generalization import start_predicting
from app.leaving import Serving
from app.serving import launch_options
from app.ui import build_app
from app.uploads import keep_sweeping

demo = build_app()

if __name__ == "__main__":
    start_predicting()
    keep_sweeping()
    Serving(demo).run(launch_options())
