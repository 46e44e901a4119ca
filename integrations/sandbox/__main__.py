"""Run the sandbox on its own: ``python -m integrations.sandbox --port 8001``."""

from integrations.sandbox.server import main

main()
