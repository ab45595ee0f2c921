"""DAG files as they lie on a desk at Targ. Nothing here is imported: they run where Airflow is, in the jail."""
