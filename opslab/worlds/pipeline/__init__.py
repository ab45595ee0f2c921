"""The pipeline of Targ: its days, what goes wrong with them, the way from files to marts, and those who look at it.

draws         random numbers that are the same on any machine
company       what Targ is: partners that come and go, the calendar, how much happens on a day
data          the tables of a day
profile       what can be measured of a day, and the band that good days keep to
faults        what can be planted in a day, and what only looks like a fault
flow          landing, staging, clean, marts; every step written down. A copy of it lies on a desk, as `targ`
landing       days delivered to where the pipeline takes its files from; cloud: the bucket and the roles for it
orchestrator  Airflow itself, run in the jail; dags: the company's DAG files
views         the grid of runs, row counts over time, a day beside its band
warehouse     SQL that is paid for by what it reads, with a budget; running: that of a desk, at a port
revenue       worlds in which revenue is down; analyst: somebody who finds out why
mutation      how good are checks? asked about good days and broken ones
scoring       what an interval, and what a probability is worth
tail          reading what a process in the jail writes, while it writes it

docs/pipeline-data.md has the data and the faults, docs/pipeline.md the rest.
"""
