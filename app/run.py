"""Run the app until it is stopped."""

import gc

from app.server.gradio_import import gr  # before all other imports of gradio
from app.server.serving import launch_options
from app.server.shutdown import AppServer
from app.server.uploads import start_cleanup
from app.ui import TABS


def run(demo: gr.Blocks) -> None:
    """Serve the page on GRADIO_SERVER_PORT (default 7860); return after SIGTERM or Ctrl-C."""
    for tab in TABS:
        if tab.warm_up is not None:
            tab.warm_up()
    start_cleanup()
    gc.collect()
    gc.freeze()  # else each full collection looks through all of it again, and nobody is answered meanwhile
    AppServer(demo).run(launch_options(TABS))
