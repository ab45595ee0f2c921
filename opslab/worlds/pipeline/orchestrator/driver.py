"""Inside the jail: runs the DAG of a file with Airflow itself, for some days, and writes down how each run ended.

    python driver.py dags/clicks_daily.py outcome.jsonl 2026-11-15 2026-11-16

Each day is one `dag.test()`, which is what `airflow dags test` calls: the tasks run one after the other in this process, and
their states, tries and results stand in Airflow's own metadata database. One process for all days, because Airflow needs five
seconds for the first run and a fifth of one for each further.

Two things are not as in a scheduler: nobody waits between two tries, and what a run printed is not kept in files.

`opslab.worlds.pipeline.orchestrator` puts this file into the world and starts it. It imports nothing of the course.
"""

from __future__ import annotations

import datetime
import gc
import json
import sys
import time
import traceback
import warnings

LONGEST = 2000
"""Letters of an error, or of what a task returned, that are written down."""


class Outcome:
    """The file that is read outside. A line as soon as it is known, so that a run that hangs does not hide the ones before."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115  (open as long as the process)
        self.day = ""

    def say(self, **line: object) -> None:
        self.file.write(json.dumps({"day": self.day, **line}) + "\n")
        self.file.flush()


def main(dag_file: str, outcome_file: str, *days: str) -> int:
    """Returns 0 where all runs succeeded, 1 where one failed, 2 where there is no DAG to run."""
    warnings.simplefilter("ignore")
    # Airflow makes hundreds of thousands of objects before its first task is done, and keeps them: to look through them for
    # garbage takes a quarter of that time. What the DAG makes on the later days is collected as usual.
    gc.disable()
    outcome = Outcome(outcome_file)
    outcome.say(event="starting Airflow")

    from airflow.dag_processing.dagbag import DagBag
    from airflow.listeners import hookimpl
    from airflow.sdk.listener import get_listener_manager
    from airflow.utils.db import initdb

    class Listener:
        """Tells of tasks as Airflow tells its listeners."""

        def __init__(self) -> None:
            self.errors: dict[str, str] = {}

        @hookimpl
        def on_task_instance_running(self, previous_state, task_instance):
            outcome.say(event="running", task=task_instance.task_id)

        @hookimpl
        def on_task_instance_success(self, previous_state, task_instance):
            outcome.say(event="success", task=task_instance.task_id)

        @hookimpl
        def on_task_instance_failed(self, previous_state, task_instance, error):
            self.errors[task_instance.task_id] = _words(error)
            outcome.say(event="failed", task=task_instance.task_id)

        @hookimpl
        def on_task_instance_skipped(self, previous_state, task_instance):
            outcome.say(event="skipped", task=task_instance.task_id)

    initdb()
    bag = DagBag(dag_file)
    if bag.import_errors:
        outcome.say(event="no dag", say="\n".join(bag.import_errors.values())[-LONGEST:])
        return 2
    if len(bag.dags) != 1:
        names = ", ".join(sorted(bag.dags)) or "none"
        outcome.say(event="no dag", say=f"one DAG is expected in the file; found: {names}")
        return 2
    (dag,) = bag.dags.values()
    for task in dag.tasks:
        task.retry_delay, task.retry_exponential_backoff = datetime.timedelta(0), 0
    listener = Listener()
    get_listener_manager().add_listener(listener)
    good = True
    for day in days:
        outcome.day = day
        listener.errors.clear()
        started = time.monotonic()
        try:
            run = dag.test(logical_date=datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC))
            tasks = [_task(instance, listener.errors) for instance in run.get_task_instances()]
            state, error = str(run.state), ""
        except Exception as problem:  # noqa: BLE001  (whatever a DAG does, the other days are run)
            traceback.print_exc()
            tasks, state, error = [], "failed", _words(problem)
        order = {task_id: place for place, task_id in enumerate(dag.task_ids)}
        tasks.sort(key=lambda task: (order.get(task["id"], 0), task["id"]))
        seconds = round(time.monotonic() - started, 3)
        outcome.say(event="ended", dag=dag.dag_id, state=state, error=error, seconds=seconds, tasks=tasks)
        good = good and state == "success"
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
    return 0 if good else 1


def _task(instance, errors: dict[str, str]) -> dict[str, object]:
    """What Airflow's database says about one task of a run."""
    try:
        returned = instance.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index)
        returned = json.dumps(returned)
    except Exception:  # noqa: BLE001  (a result that cannot be shown is not worth a failed run)
        returned = "null"
    return {
        "id": instance.task_id if instance.map_index < 0 else f"{instance.task_id}[{instance.map_index}]",
        "state": str(instance.state or "none"),
        "tries": instance.try_number,
        "seconds": round(instance.duration or 0.0, 3),
        "returned": returned if len(returned) <= LONGEST else "null",
        "error": errors.get(instance.task_id, ""),
    }


def _words(error: object) -> str:
    return (f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error or ""))[:LONGEST]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
