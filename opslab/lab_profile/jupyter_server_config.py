"""The learner's JupyterLab. Read by Jupyter itself, because `opslab learn` puts this folder on JUPYTER_CONFIG_PATH.

What differs per machine (the course's folder, the port) comes from `opslab.launch`; all else stands here.
"""

import os
import sys

c = get_config()  # noqa: F821

# On this machine only, and nothing that asks the internet.
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.open_browser = False
c.ServerApp.root_dir = os.environ["OPSLAB_COURSE_ROOT"]
c.ServerApp.allow_root = True  # in a container there is often nobody else
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"

# The course's own layout of the window, see `opslab.launch`.
c.LabApp.default_url = "/lab/workspaces/course"

# A terminal is the bash of the world the learner is in.
c.ServerApp.terminado_settings = {"shell_command": [sys.executable, "-P", "-m", "opslab.launch", "shell"]}

# People edit ~/.bashrc here, so hidden files are shown; what only tools look at is not listed.
c.ContentsManager.allow_hidden = True
c.ContentsManager.hide_globs = [
    *("__pycache__", "*.pyc", ".DS_Store", ".ipynb_checkpoints", ".opslab", ".opslab.json"),
    *(".git", ".venv", ".ci", ".cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
]

# One kernel: the Python that the course is installed in.
c.KernelSpecManager.allowed_kernelspecs = {"python3"}

# nbgrader's buttons are for instructors, a learner asks `opslab.check`; language servers are not needed. It starts faster.
c.ServerApp.jpserver_extensions = {
    "nbgrader.server_extensions.formgrader": False,
    "nbgrader.server_extensions.validate_assignment": False,
    "nbgrader.server_extensions.assignment_list": False,
    "nbgrader.server_extensions.course_list": False,
    "jupyter_lsp": False,
}
