import pendulum
from airflow.sdk import dag, task
from targ import Flow


@dag(schedule="0 6 * * *", start_date=pendulum.datetime(2026, 11, 1), catchup=False, default_args={"retries": 1})
def clicks_daily():
    @task
    def stage(ds=None, run_id=None):
        staged = Flow.from_environment(run_id).stage("clicks", ds)
        assert staged["rows"] > 0, f"nothing to load: 0 rows of clicks for {ds} in {staged['files']} files"
        return staged

    @task
    def clean(ds=None, run_id=None):
        return Flow.from_environment(run_id).clean("clicks", ds)

    @task
    def marts(ds=None, run_id=None):
        return Flow.from_environment(run_id).marts(ds, only=["clicks_daily"])

    stage() >> clean() >> marts()


clicks_daily()
