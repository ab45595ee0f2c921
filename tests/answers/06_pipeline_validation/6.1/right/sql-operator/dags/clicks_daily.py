import os
from pathlib import Path

import duckdb
import pendulum
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseOperator
from targ import Flow


class RowsArrived(BaseOperator):
    """Fails where a layer of the pipeline has no rows of a day."""

    template_fields = ("day",)

    def __init__(self, table, day="{{ ds }}", **more):
        super().__init__(**more)
        self.table, self.day = table, day

    def execute(self, context):
        folder = Path(os.environ["TARG_PIPELINE"], "clean", self.table, f"day={self.day}")
        query = "SELECT count(*) FROM read_parquet(?) WHERE arrived_on = ?::DATE"
        files = [str(file) for file in folder.glob("*.parquet")]
        rows = duckdb.connect().execute(query, [files, self.day]).fetchone()[0] if files else 0
        if rows == 0:
            raise RuntimeError(f"{self.table} of {self.day}: 0 rows in {folder}")
        return {"rows": rows}


def step(name, **more):
    def work(ds, run_id):
        flow = Flow.from_environment(run_id)
        return flow.marts(ds, only=["clicks_daily"]) if name == "marts" else getattr(flow, name)("clicks", ds)

    return PythonOperator(task_id=name, python_callable=work, **more)


with DAG("clicks_daily", schedule="0 6 * * *", start_date=pendulum.datetime(2026, 11, 1), catchup=False):
    step("stage") >> step("clean") >> RowsArrived(task_id="rows_arrived", table="clicks") >> step("marts")
