"""Module 02: what stands on the forge after all that pushing, and what it does when it is run."""

from __future__ import annotations

import configparser
import contextlib
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opslab import plain
from opslab.checks import Miss, Module, Trial, on_forge, shorten
from opslab.jail import Limits
from opslab.scenarios.iam_roles.names import STAGING
from opslab.scenarios.merge_requests import churn, conflict, first, halved, leak, people, undo
from opslab.scenarios.merge_requests import rules as _rules  # noqa: F401  (it adds to RULES)
from opslab.worlds import workspace
from opslab.worlds.aws.cloud import JOURNAL, Actor, Answer
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.git import Git
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.reviewers import SECRETS, is_vague
from opslab.worlds.forge.state import MERGED

module = Module("02", "merge_requests", "Git and merge requests", cloud=True, forge=True)


def _folder(name: str) -> str:
    return f"{people.FOLDER}/{name}.git"


# ---- what is on the forge ---------------------------------------------------------------------------------------------


def _holder(git: Git, text: str) -> str:
    """The path of a file that held a text in any commit that can be fetched; "" where there is none."""
    paths = git.text("log", "--all", "-m", "--format=", "--name-only", "--no-renames", f"-S{text}").split("\n")
    return next(filter(None, paths), "")


# ---- what it does -----------------------------------------------------------------------------------------------------

QUERY = """
import json, sqlite3, sys
asked = json.load(sys.stdin)
base = sqlite3.connect(":memory:")
base.execute("create table orders (order_id text, day text, amount real, status text, currency text)")
base.executemany("insert into orders values (?, ?, ?, ?, ?)", asked["rows"])
answer = base.execute(asked["sql"])
json.dump({"columns": [one[0] for one in answer.description], "rows": answer.fetchmany(1000)}, sys.stdout)
"""


def _query(trial: Trial, sql: str, rows: list[Any]) -> list[dict[str, Any]]:
    """What a mart gives for some orders: a dictionary a line. Raises Miss where it does not run."""
    asked = json.dumps({"sql": sql, "rows": rows})
    done = trial.run([sys.executable, "-I", "-c", QUERY], home=trial.folder(), stdin=asked)
    if done.code:
        error = done.err.strip().splitlines()[-1:] or ["it ended without a word"]
        marks = re.search(r"^(<{7}|={7}|>{7})", sql, re.MULTILINE)
        say = (
            "The query does not run: the marks of the conflict are still in it." if marks else "The query does not run."
        )
        raise Miss(say, tried="run the mart on some orders", got=error[0], wanted="a table", name="marks-left" if marks else "query-broken")  # fmt: skip
    found = json.loads(done.out)
    return [dict(zip([name.lower() for name in found["columns"]], row, strict=True)) for row in found["rows"]]


def _in_any_order(rows: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(str(sorted(row.items())) for row in rows)


def _show(rows: Iterable[dict[str, Any]]) -> str:
    return shorten("\n".join(str(row) for row in rows) or "no lines at all", lines=4)


# ---- 2.1 ------------------------------------------------------------------------------------------------------------

opening = module.task(
    "2.1",
    "The first merge request",
    files=[_folder(first.NAME), "work/marts"],
    hints=[
        ("git clone forge:analytics/marts work/marts, then a branch: git switch -c without-cancelled. Change the file, look at it with "
        "git diff, then git add and git commit."),
        "One condition is missing in marts/orders_daily.sql, between from and group by. sample/orders.csv shows which words stand in the column status; only one of them has to go.",
        ("git push -o merge_request.create -o merge_request.target=main -o merge_request.title='…' -o merge_request.description='…' "
        "-u origin without-cancelled. Why, and by how much a number moves, belong into the description."),
        ("opslab mr show 1 says what Hania asks. Answer with a commit (a line in CHANGELOG.md) and git push, or with opslab mr comment 1 "
        "'…' --reply-to 2. As soon as she has approved: opslab mr merge 1."),
    ],
)  # fmt: skip


@opening.expects("a merge request that says what it does, and why", points=1)
def opened(trial: Trial) -> None:
    repository = on_forge.not_rewritten(trial, first)
    tried = f"look for a merge request of yours in {first.NAME}"
    mine = on_forge.mine(repository)
    if not mine:
        branches = [name for name in repository.git.branches() if name != "main"]
        if branches:
            raise Miss(f"The branch {branches[0]} is there, and no merge request for it: nobody has been asked to look.", tried=tried, got="a branch", wanted="git push -o merge_request.create …", name="only-a-branch")  # fmt: skip
        raise Miss(
            "There is no merge request yet.", tried=tried, got="none", wanted="one, opened by you", name="none-yet"
        )
    record = mine[0].record
    if is_vague(record["title"]):
        raise Miss("The title does not say what changes.", tried=f"read !{record['number']}", got=record["title"], wanted="what changes, in five to ten words", name="vague-title")  # fmt: skip
    if len(record["description"].split()) < 5:
        raise Miss("The description does not say why. Whoever reads it was not there when Marta asked.", tried=f"read !{record['number']}", got=record["description"] or "nothing", wanted="why, and how you know that it is right", name="no-description")  # fmt: skip


@opening.expects("Hania's questions are answered, and she has approved", points=1, needs="opened")
def reviewed(trial: Trial) -> None:
    mr = on_forge.mine(on_forge.repository(trial, first.NAME))[0]
    record = mr.record
    tried = f"opslab mr show {record['number']}"
    on_forge.settled(mr, first)
    head = record["merged"]["head"] if record["merged"] else record["head"]
    if not any(one["by"] == "hania" and one["head"] == head for one in record["approvals"]):
        raise Miss("Hania has not approved what is there now. A new push takes approvals back; she looks again within a second or two, while the desk is open.", tried=tried, got=on_forge.waits_for(mr), wanted="approved by hania", name="not-approved")  # fmt: skip


@opening.expects("main counts no cancelled orders, and everything else as before", points=2, needs="reviewed")
def counted(trial: Trial) -> None:
    repository = on_forge.repository(trial, first.NAME)
    mr = on_forge.mine(repository)[0]
    if mr.record["state"] != MERGED:
        raise Miss("It is not merged yet.", tried=f"opslab mr show {mr.number}", got=on_forge.waits_for(mr), wanted="merged", name="not-merged")  # fmt: skip
    orders = people.orders(trial.unseen)
    found = _query(trial, on_forge.file(repository, first.MART), orders)
    kept = [row for row in orders if row[3] != "cancelled"]
    wanted = _daily(kept)
    if found == _daily(orders):
        raise Miss("The mart on main still counts cancelled orders.", tried="run the mart of main on some orders", got=_show(found), wanted=_show(wanted), name="still-counted")  # fmt: skip
    if found == _daily([row for row in orders if row[3] == "paid"]):
        raise Miss("Now refunded orders are missing, too. Marta asked about cancelled ones.", tried="run the mart of main on some orders", got=_show(found), wanted=_show(wanted), name="refunds-gone")  # fmt: skip
    if found != wanted:
        raise Miss("The mart on main gives other numbers or columns than it should.", tried="run the mart of main on some orders", got=_show(found), wanted=_show(wanted), name="wrong-numbers")  # fmt: skip
    others = repository.git.file(on_forge.MAIN, "marts/users_daily.sql")
    if others is None or others.decode() != first.USERS:
        raise Miss("marts/users_daily.sql changed as well. One merge request, one thing.", tried="git diff of the merge request", got="another file changed", wanted="only what was asked for", name="changed-more")  # fmt: skip


def _daily(rows: list[Any]) -> list[dict[str, Any]]:
    days = sorted({row[1] for row in rows})
    return [
        {"day": day, "orders": len(of), "revenue": round(sum(row[2] for row in of), 2)}
        for day in days
        if (of := [row for row in rows if row[1] == day])
    ]


# ---- 2.2 ------------------------------------------------------------------------------------------------------------

both = module.task(
    "2.2",
    "Two people, one file",
    files=[_folder(conflict.NAME), "work/finance"],
    hints=[
        "git clone forge:analytics/finance work/finance, git switch only-paid, git merge origin/main. git status says which file is in conflict.",
        ("Between <<<<<<< and ======= stands what you have, between ======= and >>>>>>> what main has. Write the query that does both, and "
        "take the three lines of marks out."),
        "Both means: a line for each day and currency (hers), with a column orders and only paid orders (yours). Then git add, git commit, git push.",
        "Kasia approves when nothing of hers is missing; then opslab mr merge 1 -R analytics/finance.",
    ],
)  # fmt: skip


@both.expects("your merge request is in main, and Kasia's commit still is", points=1)
def merged(trial: Trial) -> None:
    on_forge.settled(on_forge.merged(on_forge.not_rewritten(trial, conflict)), conflict)


@both.expects("the query on main has both changes", points=2, needs="merged")
def has_both(trial: Trial) -> None:
    repository = on_forge.repository(trial, conflict.NAME)
    orders = people.orders(trial.unseen)
    found = _query(trial, on_forge.file(repository, conflict.MART), orders)
    paid = [row for row in orders if row[3] == "paid"]
    keys = sorted({(row[1], row[4]) for row in paid})
    wanted = [
        {"day": day, "currency": currency, "orders": len(of), "revenue": round(sum(row[2] for row in of), 2)}
        for day, currency in keys
        if (of := [row for row in paid if (row[1], row[4]) == (day, currency)])
    ]
    tried = "run the query of main on some orders"
    columns = set(found[0]) if found else set()
    if "currency" not in columns or len(found) < len(wanted):
        raise Miss("Kasia's change is lost: there is no line for each currency.", tried=tried, got=_show(found), wanted=_show(wanted), name="theirs-lost")  # fmt: skip
    every = {
        (row[1], row[4]): round(sum(r[2] for r in orders if (r[1], r[4]) == (row[1], row[4])), 2) for row in orders
    }
    if "orders" not in columns or all(row.get("revenue") == every.get((row.get("day"), row.get("currency"))) for row in found):  # fmt: skip
        raise Miss("Your change is lost: cancelled and refunded orders are in the sum again, or the column orders is missing.", tried=tried, got=_show(found), wanted=_show(wanted), name="yours-lost")  # fmt: skip
    if _in_any_order(found) != _in_any_order(wanted):
        raise Miss("Both changes are there, and the numbers are not right yet.", tried=tried, got=_show(found), wanted=_show(wanted), name="wrong-numbers")  # fmt: skip


# ---- 2.3 ------------------------------------------------------------------------------------------------------------

back = module.task(
    "2.3",
    "Undo, in front of everybody",
    files=[_folder(undo.NAME), "work/loaders"],
    hints=[
        "git clone forge:analytics/loaders work/loaders, a branch, and git log --oneline to find the two commits: “Amounts in cents” and “Tidy up”.",
        "git revert ID makes a new commit that takes one back. History stays; the commits after it stay.",
        "A file as it was before a commit: git restore --source=ID^ reference/rates.csv   (ID^ is the commit before ID). Then git add and git commit.",
        "main is protected: push your branch with -o merge_request.create, wait for Paweł, opslab mr merge 1.",
    ],
)


@back.expects("main was not rewritten, and goes on by a merge request", points=1)
def went_on(trial: Trial) -> None:
    on_forge.settled(on_forge.merged(on_forge.not_rewritten(trial, undo)), undo)


@back.expects("amounts are in euros again, and what came later still works", points=1, needs="went_on")
def undone(trial: Trial) -> None:
    program = on_forge.file(on_forge.repository(trial, undo.NAME), undo.LOAD)
    home = trial.folder()
    (home / undo.LOAD).write_text(program)
    lines = "order_id,amount\n a1 ,12.50\nb2,3.05\n"
    done = trial.run([sys.executable, "-I", undo.LOAD], home=home, stdin=lines)
    tried = "run load.py of main on two orders"
    if done.code:
        raise Miss("load.py of main does not run any more.", tried=tried, got=(done.err.strip().splitlines() or [""])[-1], wanted="exit code 0", name="broken")  # fmt: skip
    if "a1,1250" in done.out:
        raise Miss("Amounts are still in cents. The commit is called “Amounts in cents, for speed”.", tried=tried, got=shorten(done.out), wanted="a1,12.5", name="still-cents")  # fmt: skip
    if "loaded 2 rows" not in done.err:
        raise Miss("A commit that came later is lost: load.py does not say how many rows were loaded. Undo one commit, not all since then.", tried=tried, got=shorten(done.err) or "nothing on stderr", wanted="loaded 2 rows", name="too-much-undone")  # fmt: skip
    if done.out.split() != ["order_id,amount", "a1,12.5", "b2,3.05"]:
        raise Miss("load.py does not do what it did before the bad commit.", tried=tried, got=shorten(done.out), wanted="order_id,amount\na1,12.5\nb2,3.05", name="undone-otherwise")  # fmt: skip


@back.expects("the table of rates is back, as it was", points=1, needs="went_on")
def restored(trial: Trial) -> None:
    repository = on_forge.repository(trial, undo.NAME)
    content = repository.git.file(on_forge.MAIN, undo.RATES)
    if content is None:
        raise Miss(f"{undo.RATES} is still missing. It was deleted by the commit “{undo.TIDY}”.", tried=f"git show main:{undo.RATES}", got="nothing", wanted="the file", name="not-restored")  # fmt: skip
    if content.decode("utf-8", "replace") != undo.RATES_TEXT:
        raise Miss("It is there, and not as it was. git has the old one, letter by letter.", tried=f"git show main:{undo.RATES}", got=shorten(content.decode("utf-8", "replace")), wanted=undo.RATES_TEXT, name="typed-again")  # fmt: skip


# ---- 2.4 ------------------------------------------------------------------------------------------------------------

LEAK, CREDENTIALS = "answers/2.4.txt", ".aws/credentials"

leaked = module.task(
    "2.4",
    "A key was pushed",
    files=[_folder(leak.NAME), "work/alerts", LEAK],
    sections={CREDENTIALS: leak.BOT},
    cloud=leak.CLOUD,
    hints=[
        ("The right order: a new key, the job takes it, the old key is switched off, and only then the repository. From the moment of the push "
        "the key is everybody's; taking it out of the files changes nothing about that."),
        ("aws iam create-access-key --user-name alert-bot --profile staging-admin prints the new one, once. Put both parts into "
        "~/.aws/credentials under [alert-bot], try aws sts get-caller-identity --profile alert-bot, then update-access-key … --status Inactive for the old one."),
        ("In the repository: a branch, git rm config.env, a line config.env in .gitignore, and alert.sh uses the profile: export AWS_PROFILE=alert-bot. "
        "Then a merge request for Ada."),
        "git log --oneline -- config.env names the commit. After the clean-up, git show that-commit still prints the key: history keeps it, which is why it had to stop working.",
    ],
)  # fmt: skip


def _bot(trial: Trial) -> tuple[str, str]:
    """(key id, secret) of the profile alert-bot on the desk. Raises Miss."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(trial.read(CREDENTIALS))
        key, secret = (parser[leak.BOT][name].strip() for name in ("aws_access_key_id", "aws_secret_access_key"))
    except (configparser.Error, KeyError):
        key = secret = ""
    if not (key and secret):
        raise Miss(f"~/{CREDENTIALS} has no complete profile [{leak.BOT}].", tried=f"read ~/{CREDENTIALS}", got="something is missing", wanted="aws_access_key_id and aws_secret_access_key", name="no-profile")  # fmt: skip
    return key, secret


@leaked.expects("the old key does not work any more, and the bot does", points=1.5)
def rotated(trial: Trial) -> None:
    cloud, old = trial.cloud(), leak.old_key(trial.seed)
    answer = cloud.user(STAGING, leak.BOT).call("sts", "get_caller_identity")
    if answer.allowed:
        raise Miss("The key that was pushed still works. Everybody who has a clone is alert-bot.", tried="call AWS with the old key", got=answer.result["Arn"], wanted="a refusal", name="old-key-works")  # fmt: skip
    key, secret = _bot(trial)
    who = Actor(cloud.endpoint, key, secret).call("sts", "get_caller_identity")
    if key == old or not who.allowed:
        raise Miss("The old key is off, and the bot has no new one that works: alerts stand still.", tried=f"aws sts get-caller-identity --profile {leak.BOT}", got=_message(who), wanted="alert-bot", name="bot-stands-still")  # fmt: skip
    if who.result["Arn"] != f"arn:aws:iam::{STAGING}:user/{leak.BOT}":
        raise Miss("The profile alert-bot is somebody else now. The bot needs a key of its own.", tried=f"aws sts get-caller-identity --profile {leak.BOT}", got=who.result["Arn"], wanted=f"…:user/{leak.BOT}", name="somebody-elses-key")  # fmt: skip


MOST_NAMES = 1_000_000


def _files_of_main(repository: Repository) -> list[str]:
    """The paths of main. Raises Miss where they are without end: a few trees that name each other stand for millions of files."""
    listed = repository.git.run("ls-tree", "-r", "--name-only", "-z", on_forge.MAIN, limit=MOST_NAMES)
    if len(listed) == MOST_NAMES:
        raise Miss("There are more files on main than anybody can look through.", tried="git ls-tree -r main", got=f"{MOST_NAMES:,} bytes of names, and more", wanted="the files of a small repository", name="too-many-files")  # fmt: skip
    return list(filter(None, listed.decode("utf-8", "replace").split("\0")))


def _message(answer: Answer) -> str:
    return f"{answer.code}: {answer.message}" if answer.code else "the old key"


@leaked.expects("no file on main holds a key, config.env stays out, and alert.sh still sends", points=1)
def cleaned(trial: Trial) -> None:
    repository = on_forge.not_rewritten(trial, leak)
    for path in _files_of_main(repository):
        text = (repository.git.file(on_forge.MAIN, path) or b"").decode("utf-8", "replace") if path else ""
        if path and any(pattern.search(text) for pattern in SECRETS.values()):
            raise Miss(f"A key still stands in {path} on main.", tried=f"git show main:{path}", got="a key", wanted="none", name="still-on-main")  # fmt: skip
    if not _ignores(trial, repository, [leak.CONFIG])[0]:
        raise Miss("Nothing keeps config.env from being committed again.", tried=f"git check-ignore {leak.CONFIG}", got="not ignored", wanted="a line in .gitignore", name="not-ignored")  # fmt: skip
    on_forge.settled(on_forge.merged(repository), leak)
    pushed = ""
    with contextlib.suppress(Miss):  # `rotated` says that there is no new key
        new = [part for part in _bot(trial) if part not in leak.config(trial.seed)]
        pushed = next(filter(None, (_holder(repository.git, part) for part in new)), "")
    if pushed:
        raise Miss(f"The new key was pushed as well, in {pushed}: now everybody knows this one. Make another, and switch this one off.", tried="git log --all -S with the new key, on the forge", got=pushed, wanted=f"~/{CREDENTIALS} only", name="new-key-pushed")  # fmt: skip
    _alert_is_sent(trial, repository)


def _alert_is_sent(trial: Trial, repository: Repository) -> None:
    """The script of main, in a fresh clone, with the desk's profiles, sends an alert. Raises Miss."""
    try:
        key = _bot(trial)
    except Miss:
        return  # `rotated` says it
    if not Actor(trial.cloud().endpoint, *key).call("sts", "get_caller_identity").allowed:
        return
    home = trial.folder()
    for path in (CREDENTIALS, ".aws/config"):
        workspace.copy_answer(trial.home, home, path)
    script = home / "alerts" / "alert.sh"
    script.parent.mkdir()
    script.write_text(on_forge.file(repository, "alert.sh"))
    names = _files_of_main(repository)
    if any(Path(name).suffix == ".env" or ".env." in name for name in names):
        # There is an example of it: then each machine has a config.env of its own, which stays out of the repository.
        (script.parent / leak.CONFIG).write_text(f"export AWS_PROFILE={leak.BOT}\n")
    # It calls the aws CLI, which may take its time on a busy laptop.
    done = trial.run(["bash", "alerts/alert.sh", "the feed is late"], home=home, limits=Limits(seconds=60))
    if done.code:
        raise Miss("alert.sh of main sends nothing in a fresh clone. Who is it now that config.env is gone? The profile alert-bot: export AWS_PROFILE=alert-bot", tried="./alert.sh 'the feed is late', in a fresh clone", got=shorten(done.err.strip() or done.out, lines=3), wanted="a message in the queue", name="alert-broken")  # fmt: skip


@leaked.expects(
    "in the right order: the bot never stood still, the key was off before the clean-up",
    points=0.5,
    needs="rotated cleaned",
)
def in_order(trial: Trial) -> None:
    old = leak.old_key(trial.seed)
    made, off = False, ""
    for entry in _journal(trial):
        operation, body = entry.get("operation"), str(entry.get("request"))
        made = made or (operation == "CreateAccessKey" and f"UserName={leak.BOT}" in body)
        inactive = operation == "UpdateAccessKey" and "Status=Inactive" in body
        if (inactive or operation == "DeleteAccessKey") and old in body:
            off = str(entry.get("time"))
            break
    if off and not made:
        raise Miss("The old key was off before there was a new one: alerts stood still in between. That cannot be undone; opslab.reset(\"2.4\") lets you do it once more.", tried="read what was done in AWS, in its order", got="off, then new", wanted="new, then off", name="off-first")  # fmt: skip
    merged = [
        mr.record["merged"]
        for mr in on_forge.mine(on_forge.repository(trial, leak.NAME))
        if mr.record["state"] == MERGED
    ]
    git = on_forge.repository(trial, leak.NAME).git
    clean = [one["at"] for one in merged if old.encode() not in (git.file(one["sha"], leak.CONFIG) or b"")]
    if off and clean and _instant(min(clean)) < _instant(off):
        raise Miss("The repository was cleaned while the key still worked. Whoever had seen it could go on using it: first the key, then the files. opslab.reset(\"2.4\") lets you do it once more.", tried="compare the times of the merge and of AWS", got="cleaned, then off", wanted="off, then cleaned", name="cleaned-first")  # fmt: skip


def _journal(trial: Trial) -> list[dict[str, Any]]:
    try:
        lines = (trial.home / JOURNAL).read_text().splitlines()
        return [entry for line in lines if line.strip() and isinstance(entry := json.loads(line), dict)]
    except (OSError, ValueError):
        return []


def _instant(text: str) -> str:
    """A time in ISO format as text that can be compared: to the second, in UTC, as both kinds are written."""
    return text[:19]


@leaked.expects("you can say what git keeps", points=1)
def knows(trial: Trial) -> None:
    said = trial.answers(LEAK, ["commit", "still_in_history", "old_key"])
    old = leak.old_key(trial.seed)
    if said.get("old_key", "").split(":")[-1].strip() != old:
        raise Miss("Which key is it? Its id begins with AKIA, has twenty letters and digits, and stands in the commit.", tried=f"read ~/{LEAK}", got=said.get("old_key", "nothing"), wanted="the id of the key", name="which-key")  # fmt: skip
    commit = said.get("commit", "").lower()
    truth = on_forge.at_start(trial, leak).log(on_forge.MAIN)
    bad = next(one.sha for one in truth if one.subject == leak.LEAK)
    if len(commit) < 7 or not bad.startswith(commit):
        after = any(len(commit) >= 7 and one.sha.startswith(commit) for one in truth)
        raise Miss("Not this commit: which one brought config.env in? git log --oneline -- config.env", tried=f"read ~/{LEAK}", got=commit or "nothing", wanted="at least seven letters of its id", name="another-commit" if after else "no-commit")  # fmt: skip
    if said.get("still_in_history", "").lower() not in ("yes", "y", "true"):
        raise Miss(f"Look again: git show {bad[:8]}, after the clean-up. And who cloned yesterday has it anyway.", tried=f"read ~/{LEAK}", got=said.get("still_in_history", "nothing"), wanted="what you see when you look again", name="history-forgets")  # fmt: skip


# ---- 2.5 ------------------------------------------------------------------------------------------------------------

HALVED, SCRIPT = "answers/2.5.txt", "bin/check_rows.sh"

bisect = module.task(
    "2.5",
    "Which commit halved the rows?",
    files=[HALVED, SCRIPT, "work/clicks"],
    hints=[
        ("git clone forge:analytics/clicks work/clicks. python count_rows.py prints the number. What is it today, and what was it at the first commit? "
        "git log --oneline | tail -n 1 names that one; git checkout ID, try, git checkout main."),
        "A script for git bisect run says with its exit code how a commit is: 0 good, 1 bad, 125 cannot be tested. It stands in the repository's folder when it runs.",
        "Some commits do not even start: python's exit code is not 0 then. That is 125, not 1, or you will blame the wrong commit.",
        ('A skeleton: out=$(python count_rows.py 2>/dev/null) || exit 125; rows=${out##* }; [ "$rows" -gt 150 ]. Then: git bisect start main FIRST; '
        "git bisect run ~/bin/check_rows.sh; git bisect reset."),
    ],
)  # fmt: skip


@bisect.expects("names the commit", points=1)
def named(trial: Trial) -> None:
    commit = trial.answers(HALVED, ["commit"]).get("commit", "").lower()
    ids = on_forge.at_start(trial, halved).git.text("rev-list", "--reverse", on_forge.MAIN).split()
    told = halved.story(trial.seed)
    culprit = ids[told.culprit - 1]
    if len(commit) < 7 or not re.fullmatch(r"[0-9a-f]{7,40}", commit):
        raise Miss("Write the id of the commit, at least seven letters of it.", tried=f"read ~/{HALVED}", got=commit or "nothing", wanted="an id such as 3f2a91b", name="no-commit")  # fmt: skip
    if culprit.startswith(commit):
        return
    where = next((number for number, sha in enumerate(ids, 1) if sha.startswith(commit)), 0)
    if where in told.broken:
        raise Miss("That commit does not run at all, which is bad, and another matter: it has not halved anything.", tried=f"git show {commit[:8]}", got="a commit that does not run", wanted="the one that halved the rows", name="broken-is-not-bad")  # fmt: skip
    if where == told.culprit - 1:
        raise Miss("So close: that is the last one that was good.", tried=f"git show {commit[:8]}", got="the commit before it", wanted="the first bad one", name="last-good")  # fmt: skip
    raise Miss("Not this one. Which is the first commit with half of the rows?", tried=f"git show {commit[:8]}", got="another commit" if where else "no commit of this repository", wanted="the first bad one", name="another-commit")  # fmt: skip


def _bisected(trial: Trial, broken: int) -> tuple[str, str, Any]:
    """Let git bisect run the learner's script in another history: (what it found, the truth, how the run ended)."""

    def run() -> tuple[str, str, Any]:
        home, forge = trial.folder(), Forge(trial.folder() / "forge")
        for person, full_name in people.PEOPLE.items():
            forge.add_user(person, full_name)
        told = halved.story(trial.unseen, broken)
        repository = forge.create(halved.NAME)
        ids = halved.put(repository, trial.unseen, told)
        people.git(home, "clone", "--quiet", str(repository.folder), str(home / "clicks"))
        people.git(home / "clicks", "remote", "remove", "origin")
        (home / SCRIPT).parent.mkdir()
        (home / SCRIPT).write_text(trial.read(SCRIPT))
        (home / SCRIPT).chmod((trial.home / SCRIPT).stat().st_mode & 0o777)
        command = f"cd clicks && git bisect start main {ids[0]} && git bisect run ~/{SCRIPT}; code=$?; echo FOUND $(git rev-parse refs/bisect/bad); exit $code"
        done = trial.run(["bash", "-c", command], home=home, limits=Limits(seconds=60))
        return done.out.rpartition("FOUND ")[2].strip(), ids[told.culprit - 1], done

    return trial.once(f"bisect {broken}", run)


@bisect.expects("check_rows.sh finds it in another history, too", points=1)
def finds(trial: Trial) -> None:
    if not (trial.home / SCRIPT).is_file() or not (trial.home / SCRIPT).stat().st_mode & 0o100:
        trial.read(SCRIPT)
        raise Miss(f"~/{SCRIPT} may not be executed. chmod +x ~/{SCRIPT}", tried=f"run ~/{SCRIPT}", got="permission denied", wanted="an executable script", name="not-executable")  # fmt: skip
    found, truth, done = _bisected(trial, 0)
    if found != truth:
        text = done.out + done.err
        always = "good" if "exit code 0" in text else "something else"
        raise Miss("In another repository of the same kind, git bisect run with your script comes to another commit. Exit code 0 for a good one, 1 for a bad one, whatever the numbers are there?", tried="git bisect run ~/bin/check_rows.sh, in another history", got=shorten(text, lines=6) or always, wanted="the commit that halved the rows", name="wrong-verdict")  # fmt: skip


@bisect.expects("and where some commits do not run", points=1, needs="finds")
def skips(trial: Trial) -> None:
    found, truth, done = _bisected(trial, 5)
    if found != truth:
        raise Miss("Where some commits do not run, it blames another one. A commit that cannot be tested is neither good nor bad: exit code 125.", tried="git bisect run, in a history with five broken commits", got=shorten(done.out + done.err, lines=6), wanted="the commit that halved the rows", name="no-125")  # fmt: skip


# ---- 2.6 ------------------------------------------------------------------------------------------------------------

fit = module.task(
    "2.6",
    "Fit for notebooks",
    files=[_folder(churn.NAME), churn.CLONE],
    hints=[
        "git log --stat in work/churn shows what each commit brings. The second takes the data out, and the first still has them: whoever fetches the branch gets both.",
        "Nobody has seen these commits yet, so they may be rewritten: git reset --soft origin/main keeps your files and takes the commits away; then add and commit only what belongs there.",
        "jupyter nbconvert --clear-output --inplace churn.ipynb takes the outputs out. A .gitignore with data/, .ipynb_checkpoints/ and .env keeps the rest away.",
        ("git push -o merge_request.create … -u origin churn-notebook, look at what Ada says (opslab mr show 1), mend, git push (with --force-with-lease, "
        "if you rewrote what you had pushed), and merge."),
    ],
)  # fmt: skip


@fit.expects("the notebook is in main, without what its cells printed", points=1)
def stripped(trial: Trial) -> None:
    repository = on_forge.not_rewritten(trial, churn)
    mr = on_forge.merged(repository)
    text = on_forge.file(repository, churn.NOTEBOOK)
    try:
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]).rstrip() for cell in cells]
        ran = [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Miss("churn.ipynb on main does not open as a notebook.", tried="read main:churn.ipynb", got=shorten(text, lines=3), wanted="a notebook", name="no-notebook") from None  # fmt: skip
    if ran:
        raise Miss("Outputs are still in it, and with them a customer's address.", tried="read main:churn.ipynb", got=f"{len(ran)} cells with outputs or numbers", wanted="none", name="outputs-left")  # fmt: skip
    if sources != [source.rstrip() for source in churn.SOURCES[1:]]:
        raise Miss("The code in it is not what it was.", tried="read main:churn.ipynb", got=shorten("\n".join(sources), lines=6), wanted="the same cells, without outputs", name="code-lost")  # fmt: skip
    on_forge.file(repository, churn.CITIES)
    on_forge.settled(mr, churn)


@fit.expects("no data and no customer in any commit that can be fetched", points=1, needs="stripped")
def no_data(trial: Trial) -> None:
    git = on_forge.repository(trial, churn.NAME).git
    for line in git.text("rev-list", "--objects", "--all").splitlines():
        path = line.partition(" ")[2]
        if path.endswith(".csv"):
            raise Miss(f"{path} is in a commit on the forge. It need not be in the newest one: everybody who clones gets it all the same.", tried="git rev-list --objects --all, on the forge", got=path, wanted="no data", name="data-in-history")  # fmt: skip
    if path := _holder(git, churn.customer(trial.seed)):
        raise Miss(f"A customer's address is in {path}, in a commit on the forge.", tried="look through every version of every file", got=path, wanted="no customers", name="customer-in-history")  # fmt: skip


@fit.expects(".gitignore keeps data, checkpoints and secrets away, and nothing else", points=1, needs="stripped")
def ignores(trial: Trial) -> None:
    repository = on_forge.repository(trial, churn.NAME)
    away = ["data/customers.csv", "data/2026/november.csv", ".ipynb_checkpoints/churn-checkpoint.ipynb", ".env"]
    welcome = ["churn.ipynb", "cities.py", "sql/cities.sql", "README.md"]
    said = _ignores(trial, repository, away + welcome)
    for path, ignored in zip(away + welcome, said, strict=True):
        if ignored != (path in away):
            name = "not-ignored" if path in away else "ignores-too-much"
            say = (
                f"{path} would be committed by the next git add."
                if path in away
                else f"{path} is ignored, and should not be."
            )
            raise Miss(say, tried=f"git check-ignore {path}", got="ignored" if ignored else "not ignored", wanted="the other way round", name=name)  # fmt: skip


def _ignores(trial: Trial, repository: Repository, paths: list[str]) -> list[bool]:
    """For each path, whether the .gitignore files of main would keep a new file of this name away."""
    home = trial.folder() / "ignores"
    home.mkdir()
    people.git(home, "init", "--quiet")
    for path in _files_of_main(repository):
        if Path(path).name == ".gitignore":
            # A tree that was made by hand may name any place: what is no file inside here is no rule, either.
            with contextlib.suppress(OSError):
                plain.write(home, path, repository.git.file(on_forge.MAIN, path) or b"")
    done = trial.run(["git", "check-ignore", "--no-index", "--", *paths], home=home)
    return [path in done.out.splitlines() for path in paths]
