"""Each morning at six: yesterday's clicks, from the landing place to the mart."""

import pendulum
from airflow.sdk import dag, task
from targ import Flow


@dag(schedule="0 6 * * *", start_date=pendulum.datetime(2026, 11, 1), catchup=False)
def clicks_daily():
    @task
    def stage(ds=None, run_id=None):
        return Flow.from_environment(run_id).stage("clicks", ds)

    @task
    def clean(ds=None, run_id=None):
        return Flow.from_environment(run_id).clean("clicks", ds)

    @task
    def marts(ds=None, run_id=None):
        return Flow.from_environment(run_id).marts(ds, only=["clicks_daily"])

    stage() >> clean() >> marts()


clicks_daily()
