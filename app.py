"""Entry of the app: `python app.py` serves it on GRADIO_SERVER_PORT (7860 where that is not set)."""

from app.run import run
from app.ui import build_app

demo = build_app()

if __name__ == "__main__":
    run(demo)
