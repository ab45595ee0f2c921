"""A failed load, told by Java: some four hundred lines in which one line matters.

The shape is that of a real Spring/JDBC batch log: quiet work, a harmless stack trace that looks frightening, then the failure,
retried, each time as a chain of "Caused by" of which the last is the root.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Answer:
    """What task 1.3 asks for: the class of the root cause, when it first struck (UTC), the number of its line."""

    root_cause: str
    first_seen: str
    line: int


ROOTS = (
    ("java.lang.NumberFormatException", 'For input string: "1.249,00"', "com.targ.loader.parse.PriceParser.parse(PriceParser.java:88)"),
    ("java.net.UnknownHostException", "rates.staging.targ.internal: Name or service not known", "com.targ.loader.rates.RateClient.fetch(RateClient.java:51)"),
    ("java.io.FileNotFoundException", "/landing/listings/dt=2026-11-16/part-00007.csv.gz (No such file or directory)", "com.targ.loader.io.PartReader.open(PartReader.java:39)"),
    ("java.time.format.DateTimeParseException", "Text '16.11.2026 01:12' could not be parsed at index 2", "com.targ.loader.parse.ClickTime.of(ClickTime.java:27)"),
    ("java.nio.file.AccessDeniedException", "/landing/listings/dt=2026-11-16", "com.targ.loader.io.Landing.list(Landing.java:64)"),
)  # fmt: skip

FRAMES = (
    "org.springframework.batch.core.step.item.SimpleChunkProcessor.doProcess(SimpleChunkProcessor.java:134)",
    "org.springframework.batch.core.step.item.SimpleChunkProcessor.transform(SimpleChunkProcessor.java:319)",
    "org.springframework.batch.core.step.item.ChunkOrientedTasklet.execute(ChunkOrientedTasklet.java:75)",
    "org.springframework.batch.core.step.tasklet.TaskletStep.doInTransaction(TaskletStep.java:407)",
    "org.springframework.transaction.support.TransactionTemplate.execute(TransactionTemplate.java:140)",
    "org.springframework.batch.repeat.support.RepeatTemplate.executeInternal(RepeatTemplate.java:215)",
    "org.springframework.batch.core.job.AbstractJob.execute(AbstractJob.java:308)",
    "java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1136)",
    "java.base/java.lang.Thread.run(Thread.java:833)",
)


def log(seed: int) -> tuple[str, Answer]:
    """The log of one night, and the answer to it."""
    rng = random.Random(f"loader {seed}")
    root, detail, frame = ROOTS[seed % len(ROOTS)]
    now = datetime(2026, 11, 16, 0, 58, rng.randrange(60))
    lines: list[str] = []

    def say(level: str, where: str, text: str, seconds: int = 0) -> None:
        nonlocal now
        now += timedelta(seconds=seconds or rng.randint(1, 9))
        lines.append(f"{now:%Y-%m-%dT%H:%M:%SZ} {level:<5} [{where}] {text}")

    def frames(count: int, first: str = "") -> None:
        if first:
            lines.append(f"\tat {first}")
        start = rng.randrange(3)
        lines.extend(f"\tat {FRAMES[(start + index) % len(FRAMES)]}" for index in range(count))

    def quiet(count: int) -> None:
        for _ in range(count):
            part = rng.randrange(40)
            say(
                "INFO",
                f"loader-{rng.randint(1, 4)}",
                f"part-{part:05d}: {rng.randint(8_000, 12_000)} rows read, 0 rejected",
            )

    say("INFO", "main", "clicks-loader 4.2.0 starting, target gold.listings_daily")
    quiet(rng.randint(45, 60))
    # The decoy: frightening, complete with a cause of its own, and followed by the sentence that defuses it.
    say("WARN", "metrics", "could not send metrics")
    lines.append("com.targ.metrics.MetricsException: push failed")
    frames(5, "com.targ.metrics.Pusher.push(Pusher.java:71)")
    lines.append("Caused by: java.net.ConnectException: Connection refused")
    frames(4)
    lines.append("\t... 12 more")
    say("INFO", "metrics", "continuing without metrics", seconds=1)
    quiet(rng.randint(85, 110))

    answer = None
    for attempt in (1, 2, 3):
        say("ERROR", f"loader-{rng.randint(1, 4)}", f"step load_listings failed, attempt {attempt} of 3")
        when = lines[-1].split()[0]
        lines.append("org.springframework.batch.core.step.StepFailedException: Error executing step load_listings")
        frames(8)
        lines.append("\tSuppressed: java.io.IOException: Stream closed")
        lines.append("\t\tat com.targ.loader.io.PartReader.close(PartReader.java:112)")
        lines.append("Caused by: com.targ.loader.LoaderException: chunk 17 of part-00007 could not be processed")
        frames(9, "com.targ.loader.ChunkWriter.write(ChunkWriter.java:203)")
        lines.append("\t... 21 more")
        lines.append(f"Caused by: {root}: {detail}")
        answer = answer or Answer(root, when, len(lines))
        frames(7, frame)
        lines.append("\t... 34 more")
        if attempt < 3:
            say("INFO", "main", f"retrying in {attempt * 60} s", seconds=1)
            now += timedelta(seconds=attempt * 60)
            quiet(rng.randint(28, 38))
    say("WARN", "main", "transaction rolled back, 0 rows committed", seconds=2)
    quiet(rng.randint(20, 30))
    say("ERROR", "main", "job clicks-loader finished with status FAILED", seconds=5)
    lines.append("org.springframework.batch.core.JobExecutionException: Flow execution ended unexpectedly")
    frames(6)
    say("INFO", "main", "shutting down", seconds=1)
    return "\n".join(lines) + "\n", answer
