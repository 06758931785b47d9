"""The Jupyter server extension: runs over HTTP and one live channel, in JupyterLab and without it."""
