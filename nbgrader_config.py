"""How nbgrader runs this course. An instructor starts its commands in this folder, or in another that has a copy of this
file and of solutions/.

solutions/ is the source, exercises/ the release; submitted/, autograded/, feedback/, gradebook.db and .nbgrader.log appear
beside them and are not committed. A submission is the notebook and the folder workspace/ beside it.
"""

import warnings

from opslab.grading import nbgrader_plugin
from opslab.worlds import workspace

# nbgrader's own database code sets it off for every new submission; it means nothing to whoever grades.
warnings.filterwarnings("ignore", message="Object of type <Submitted", module="nbgrader.api")

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "opslab"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
# The gradebook is gradebook.db in the folder where nbgrader is started: its own default.

# Names that are never copied, whichever command copies: not into a release, not with a submission, not into feedback.
# workspace/ is not among them, because `nbgrader submit` and `nbgrader collect` must take it along; the parts of the
# plugin keep it out of everything else. The big logs of module 01 are left out: grading makes them anew from the seed.
c.CourseDirectory.ignore = [
    "hidden.toml",
    "partner-feeds-*",
    ".opslab",
    ".cache",
    ".ipynb_checkpoints",
    "*.pyc",
    "__pycache__",
    "feedback",
]
# In kilobytes: what `autograde` takes of a file, the exchange carries.
c.CourseDirectory.max_file_size = workspace.ANSWER_LIMIT // 1000
c.CourseDirectory.max_dir_size = 100_000

c.NbGrader.logfile = ".nbgrader.log"

# A solution cell is as often a shell script as it is Python: the stub is a comment in both.
c.ClearSolutions.code_stub = {"python": "# your lines go here"}
c.ClearSolutions.text_stub = "*Your answer goes here.*"

c.GenerateAssignment.exporter_class = nbgrader_plugin.ReleaseExporter

c.Autograde.exporter_class = nbgrader_plugin.SubmissionExporter
c.Autograde.sanitize_preprocessors = [
    nbgrader_plugin.CourseCells,
    nbgrader_plugin.PlainMarkdown,
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    nbgrader_plugin.CourseCells,
    nbgrader_plugin.GradeFromWorld,
    "nbgrader.preprocessors.SaveAutoGrades",
    nbgrader_plugin.NoteInGradebook,
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

c.ExchangeFactory.release_assignment = "opslab.grading.exchange.Release"
c.ExchangeFactory.submit = "opslab.grading.exchange.Submit"
c.ExchangeFactory.collect = "opslab.grading.exchange.Collect"

nbgrader_plugin.copy_plain_files_only()
