"""``python -m jupyter_mlrun.agent HOME``."""

import sys

from jupyter_mlrun.agent.main import main

sys.exit(main(sys.argv[1:]))
