"""What all loaders of Targ need.

connection = targ_loader.warehouse("warehouse", schemas=["raw"])
cursor = connection.cursor()
since = targ_loader.loaded_until(cursor, "orders", start="2026-11-16 00:00:00+01:00")
for batch in targ_loader.batches("orders.tsv", since):
    cursor.copy_from(batch, "raw.orders")
targ_loader.mark(cursor, "orders", "2026-11-17 00:00:00+01:00")
"""

import io
from datetime import datetime

import pykontor


def warehouse(folder, schemas):
    """A connection to the warehouse in a folder. What is missing of it is made."""
    pykontor.create(folder, [*schemas, "state"])
    connection = pykontor.connect(folder)
    with connection:
        connection.cursor().execute("create table if not exists state.marks (job text primary key, until text)")
    return connection


def loaded_until(cursor, job, start):
    """The time up to which a job has loaded; `start` for one that never ran."""
    cursor.execute("insert into state.marks values (?, ?) on conflict do nothing", (job, start))
    cursor.execute("select until from state.marks where job = ?", (job,))
    return cursor.fetchone()[0]


def mark(cursor, job, until):
    """Remember how far a job has come. It holds with the rows: both are committed, or neither."""
    cursor.execute("update state.marks set until = ? where job = ?", (until, job))


def batches(path, since, size=100):
    """The lines of a file that are newer than `since`, as files of at most `size` lines. The last column is the time."""
    with open(path, encoding="utf-8") as file:
        new = [line for line in file if datetime.fromisoformat(line.rstrip("\n").rpartition("\t")[2]) >= since]
    for start in range(0, len(new), size):
        yield io.StringIO("".join(new[start : start + size]))
