"""Flower's settings: nobody sees it without the password, and nothing but ids is in what it shows."""

import os

address = os.environ.get("CHIMERA_FLOWER_ADDRESS", "127.0.0.1")
port = int(os.environ.get("CHIMERA_FLOWER_PORT", "5555"))
# user:password, without a default: Flower does not start open.
basic_auth = [os.environ["CHIMERA_FLOWER_BASIC_AUTH"]]
# Chimera hides arguments and results before they are sent; what other Celery tasks send is cut here.
format_task = "chimera.adapters.celery.flower:hide_arguments"
persistent = False
