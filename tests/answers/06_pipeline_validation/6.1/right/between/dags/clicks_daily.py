"""Each morning at six: yesterday's clicks, from the landing place to the mart. Red where there were none."""

import pendulum
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException
from targ import Flow


@dag(schedule="0 6 * * *", start_date=pendulum.datetime(2026, 11, 1), catchup=False)
def clicks_daily():
    @task
    def stage(ds=None, run_id=None):
        return Flow.from_environment(run_id).stage("clicks", ds)

    @task
    def check(staged, ds=None):
        if not staged["rows"]:
            raise AirflowFailException(
                f"{ds}: no clicks have landed ({staged['files']} files, 0 rows). The mart keeps what it had. "
                f"Ask the exporter for clicks/day={ds}/, then run the day again."
            )

    @task
    def clean(ds=None, run_id=None):
        return Flow.from_environment(run_id).clean("clicks", ds)

    @task
    def marts(ds=None, run_id=None):
        return Flow.from_environment(run_id).marts(ds, only=["clicks_daily"])

    check(stage()) >> clean() >> marts()


clicks_daily()
