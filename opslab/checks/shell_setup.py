"""Module 01: what a comfortable shell, an honest script and a kept secret do."""

from __future__ import annotations

import base64
import contextlib
import errno
import functools
import gzip
import io
import os
import re
import shutil
import stat
import tempfile
import time
import uuid
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from opslab import plain
from opslab.checks import Miss, Module, Trial, shorten
from opslab.scenarios import shell_setup as scenario
from opslab.scenarios.shell_setup import feeds, loader
from opslab.worlds import shell, workspace

module = Module("01", "shell_setup", "Shell setup")

# ---- 1.1 ------------------------------------------------------------------------------------------------------------

RC = ".bashrc"

comfy = module.task(
    "1.1",
    "A comfy place",
    files=[RC, ".bash_prompt", ".bash_aliases", ".inputrc", ".bashrc.d"],
    uses=[".[!.]*", "bin"],
    hints=[
        ("Do one line at a time: write it into ~/.bashrc, let “exec bash” read it anew in the terminal, look, next line. "
        "The lesson has each piece on its own."),
        ("Completion: source /usr/share/bash-completion/bash_completion, and one line of its own for aws: "
        "complete -C aws_completer aws. History: HISTCONTROL, HISTSIZE, shopt -s histappend, and two bind lines for the arrows."),
        ("Prompt: the exit code is gone as soon as anything else runs, so the first thing that a function in PROMPT_COMMAND "
        "does is: local code=$?. Build PS1 there, piece by piece; the branch comes from: git branch --show-current 2>/dev/null; "
        "${AWS_PROFILE:+$AWS_PROFILE } is the profile and a space where one is set, and nothing where none is."),
        ("A skeleton: prompt() { local code=$?; PS1=''; [ $code -ne 0 ] && PS1+=\"[$code] \"; …; PS1+='\\w \\$ '; }  "
        "PROMPT_COMMAND=prompt. Colours go between \\[ and \\]: \\[\\e[31m\\] red, \\[\\e[0m\\] back to normal."),
    ],
)  # fmt: skip


def _expects(title: str, *, points: float, needs: str = "starts"):
    """Like `comfy.expects`, for what is asked of a terminal: one that ends or hangs on the way is a miss."""

    def declare(function):
        @comfy.expects(title, points=points, needs=needs)
        @functools.wraps(function)
        def ask(trial: Trial) -> None:
            try:
                function(trial)
            except shell.NoPrompt as error:
                _refuse_set_e(trial, error)
                raise Miss(f"The terminal did not stay usable: {error}. Which line of ~/{RC} may end the shell, or wait?", tried="type a command", got=error.screen or "(an empty screen)", wanted="a new prompt", name="shell-ends") from None  # fmt: skip

        return ask

    return declare


def _terminal(trial: Trial, home: Path | None = None) -> shell.Terminal:
    """A shell with the learner's rc file, in `home` or in a fresh copy of the desk; a Miss that names the line where none
    comes up."""
    home = home or trial.scratch(trial.seed, lines=2000)
    try:
        return trial.terminal(home)
    except shell.NoPrompt as error:
        _refuse_set_e(trial, error)
        confinement = trial.confinement(home)
        line = shell.last_line_of_rc(path=RC, **confinement)
        source = trial.read(RC).splitlines()
        where = (
            f"line {line}: {source[line - 1].strip()}" if 0 < line <= len(source) else "a line that could not be found"
        )
        raise Miss(
            f"bash did not come to a prompt: {error}. It was last seen in ~/{RC}, {where}. A line of an rc file must not "
            "wait, exit or replace the shell.",
            tried=f"start bash with ~/{RC}", got=error.screen or "(an empty screen)", wanted="a prompt", name="rc-hangs",
        ) from None  # fmt: skip


def _refuse_set_e(trial: Trial, error: shell.NoPrompt) -> None:
    """Where a terminal has ended and the rc file has `set -e` in it, say that this is why."""
    if found := re.search(r"^[ \t]*set[ \t]+(-[a-z]*e[a-z]*\b|-o\s+errexit).*", trial.read(RC), re.MULTILINE):
        raise Miss("“set -e” is for scripts. In a terminal it closes the window at the first command that fails, and commands fail all day.", tried=f"open a terminal with ~/{RC}, and work", got=f"{found[0].strip()}\n{error}", wanted="a terminal that stays open", name="set-e-in-rc") from None  # fmt: skip


@comfy.expects("bash starts with it, without a complaint", points=0)
def starts(trial: Trial) -> None:
    text = trial.read(RC)
    if "\r" in text:
        raise Miss(f"~/{RC} has Windows line ends (CR LF); bash takes the CR for a part of the command. Save it with LF.", tried=f"read ~/{RC}", got="lines that end in \\r\\n", wanted="lines that end in \\n", name="crlf")  # fmt: skip
    home = trial.scratch(trial.seed, lines=2000)
    faults = shell.faults_of_rc(path=RC, **trial.confinement(home))
    if faults:
        raise Miss("bash cannot read it to the end. Look at the line that it names, and at the one before: a quote, a bracket, a “fi” or “done” that is missing?", tried=f"bash -n ~/{RC}", got=faults, wanted="no message", name="rc-syntax")  # fmt: skip
    screen = _terminal(trial).text()
    complaints = [
        line for line in screen.split("\n") if re.search(r"bash: |: line \d+:|command not found|No such file", line)
    ]
    if complaints:
        raise Miss("It starts, and complains. Every new terminal would greet you like that.", tried="open a terminal", got="\n".join(complaints), wanted="only the prompt", name="rc-complains")  # fmt: skip


@_expects("TAB completes the subcommands and branches of git", points=0.5)
def completes_git(trial: Trial) -> None:
    terminal = _terminal(trial)
    terminal.run("cd projects/marts")
    for typed, wanted in (("git checko", "git checkout"), ("git switch fix", "git switch fix-late-feed")):
        terminal.clear().type(typed).press("TAB")
        if wanted not in terminal.line():
            missing = not Path("/usr/share/bash-completion").exists() and trial.graded is False
            say = "Nothing was completed: no completion for git is loaded."
            if missing:
                say += " “opslab doctor” tells whether this machine has the completion files, and how to get them."
            raise Miss(say, tried=f"{typed}⇥", got=terminal.line(), wanted=f"{wanted} …", name="no-completion")


@_expects("TAB completes the services of aws", points=0.5)
def completes_aws(trial: Trial) -> None:
    terminal = _terminal(trial)
    terminal.type("aws kines").press("TAB")
    if "aws kinesis" not in terminal.line():
        raise Miss("Nothing was completed. aws brings its own program for it, aws_completer; one line tells bash to ask it.", tried="aws kines⇥", got=terminal.line(), wanted="aws kinesis …", name="no-aws-completion")  # fmt: skip


ONCE = "Single quotes around PS1, or a function in PROMPT_COMMAND, let bash ask anew."


def _is_there_when_read_again(terminal: shell.Terminal, word: str) -> bool:
    """Whether `word` comes into the prompt by reading the rc file once more: then it was put together only once."""
    terminal.run(f". ~/{RC}")
    return word in terminal.prompt()


@_expects("the prompt shows the git branch, and follows when it changes", points=0.5)
def prompt_branch(trial: Trial) -> None:
    terminal = _terminal(trial)
    terminal.run("cd projects/marts")
    terminal.run("git switch --quiet fix-late-feed")
    on_branch = terminal.prompt()
    if "fix-late-feed" not in on_branch:
        say, name = "The branch is not in the prompt.", "no-branch"
        if _is_there_when_read_again(terminal, "fix-late-feed"):
            say, name = (
                f"The branch is asked once, when the rc file is read, and not each time. {ONCE}",
                "evaluated-once",
            )
        raise Miss(say, tried="cd projects/marts; git switch fix-late-feed", got=on_branch, wanted="… fix-late-feed …", name=name)  # fmt: skip
    terminal.run("cd")
    outside = terminal.prompt()
    if "fatal" in outside or "fix-late-feed" in outside:
        raise Miss("Outside of a repository there is no branch to show; git's complaint about that belongs into /dev/null.", tried="cd ~", got=outside, wanted="a prompt without a branch", name="noise-outside")  # fmt: skip


@_expects("the prompt shows the AWS profile, if one is set", points=0.5)
def prompt_profile(trial: Trial) -> None:
    terminal = _terminal(trial)
    before = terminal.prompt()
    terminal.run("export AWS_PROFILE=staging")
    after = terminal.prompt()
    if "staging" not in after:
        say, name = "The profile is not in the prompt, so nothing tells you in which account the next command lands.", "no-profile"  # fmt: skip
        if _is_there_when_read_again(terminal, "staging"):
            say, name = (
                f"The profile is asked once, when the rc file is read, and not each time. {ONCE}",
                "evaluated-once",
            )
        raise Miss(say, tried="export AWS_PROFILE=staging", got=after, wanted="… staging …", name=name)
    terminal.run("unset AWS_PROFILE")
    again = terminal.prompt()
    if "staging" in before or "staging" in again:
        raise Miss("The prompt names a profile although none is set.", tried="unset AWS_PROFILE", got=again, wanted="a prompt without “staging”", name="profile-always")  # fmt: skip


@_expects("production stands out in red, and long lines still wrap well", points=0.5, needs="starts prompt_profile")
def prompt_red(trial: Trial) -> None:
    terminal = _terminal(trial)
    terminal.run("export AWS_PROFILE=staging")
    terminal.prompt()
    staging = terminal.colours_of("staging")
    terminal.run("export AWS_PROFILE=production")
    terminal.prompt()
    production = terminal.colours_of("production")
    if not any(_is_red(fg) or _is_red(bg) for fg, bg in production):
        raise Miss("The word production is there, but not in red.", tried="export AWS_PROFILE=production", got=f"production {_in_words(production)}", wanted="red text or a red background", name="not-red")  # fmt: skip
    if staging == production:
        raise Miss("Staging looks exactly like production. If everything is red, red says nothing.", tried="AWS_PROFILE=staging, then production", got=f"both {_in_words(production)}", wanted="red for production only", name="all-red")  # fmt: skip
    # Going back to the first letter and to the end again makes bash work out where on the screen it is.
    long = "echo " + "".join(f"{number:04d}" for number in range(60))
    terminal.clear().type(long[:-1]).type(HOME).type(END).type(long[-1])
    shown = "".join(line.ljust(terminal.screen.columns) for line in terminal.screen.display).rstrip()
    if long not in shown:
        raise Miss("A long command runs over itself on the screen: bash counts the colour codes as letters. Put each of them between \\[ and \\] (between \\001 and \\002 in what a $(command) prints).", tried="type a command of 244 letters, go to its start and back to its end, type one more", got=terminal.text(), wanted="the command, whole, over several lines", name="colour-not-bracketed")  # fmt: skip
    terminal.clear()
    terminal.run("export AWS_PROFILE=staging")
    terminal.prompt()
    if terminal.colours_of("staging") != staging:
        raise Miss("The red does not end: after production, everything stays red. \\[\\e[0m\\] behind the word brings the normal colour back.", tried="AWS_PROFILE=production, then staging", got=f"staging {_in_words(terminal.colours_of('staging'))}", wanted=f"staging {_in_words(staging)}, as before", name="red-for-ever")  # fmt: skip


HOME, END = "\x1b[H", "\x1b[F"
"""What the keys of these names send."""


def _in_words(colours: set[tuple[str, str]]) -> str:
    """Colours of text and background: "in red", "in white on red"."""
    named = [(text.replace("default", "the usual colour"), ground) for text, ground in sorted(colours)]
    return " and ".join(f"in {text}" + (f" on {ground}" if ground != "default" else "") for text, ground in named)


def _is_red(colour: str) -> bool:
    if re.fullmatch("[0-9a-f]{6}", colour):
        red, green, blue = (int(colour[at : at + 2], 16) for at in (0, 2, 4))
        return red > 140 and green < 110 and blue < 110
    return "red" in colour


@_expects("the prompt shows an exit code that is not 0", points=0.5)
def prompt_exit_code(trial: Trial) -> None:
    terminal = _terminal(trial)
    terminal.run("(exit 73)")
    # The prompt must be read without pressing ENTER again, because that is a new command for some prompts.
    failed = terminal.text().split("(exit 73)")[-1].strip()
    terminal.run("clear")
    terminal.run("true")
    fine = terminal.text().split("true")[-1].strip()
    if not re.search(r"(?<!\d)73(?!\d)", failed):
        name, say = "no-exit-code", "The exit code of the command before is not in the prompt."
        other = re.search(r"(?<![\d:])(0|1|127|128)(?![\d:])", failed)
        if other:
            name = "exit-code-lost"
            say = f"The prompt shows {other[1]} after a failure with 73. Either something else ran in between, and $? was its exit code: save $? first, before anything else. Or $? stands between double quotes in PS1, and was filled in once, when the file was read."
        raise Miss(say, tried="(exit 73)", got=failed, wanted="… 73 …", name=name)
    if re.search(r"(?<!\d)73(?!\d)", fine):
        raise Miss("The old exit code stays after a command that went well.", tried="(exit 73), then true", got=fine, wanted="a prompt without 73", name="exit-code-stays")  # fmt: skip


@_expects("history keeps a repeated command only once", points=0.5)
def history_once(trial: Trial) -> None:
    terminal = _terminal(trial)
    for _ in range(3):
        terminal.run("echo the same again")
    history = terminal.run("history")
    kept = [line for line in history.split("\n") if re.search(r"\becho the same again$", line.strip())]
    if len(kept) == 1:
        terminal.run("echo something else")
        terminal.run("echo the same again")
        kept = [
            line for line in terminal.run("history").split("\n") if re.search(r"\becho the same again$", line.strip())
        ]
        if len(kept) != 1:
            raise Miss("Repetitions in a row are kept once, but not those with something in between. ignoredups looks at the last command only; erasedups at all of them.", tried="echo the same again; echo something else; echo the same again; history", got="\n".join(kept), wanted="one line", name="ignoredups-only")  # fmt: skip
        return
    if len(kept) != 1:
        raise Miss("The history holds it as often as it was typed, and pushes older, rarer commands out." if kept else "It is not in the history at all.", tried="echo the same again (three times); history", got="\n".join(kept) or shorten(history), wanted="one line", name="no-dedupe")  # fmt: skip


@_expects("two terminals at once both keep their history", points=0.5)
def history_two(trial: Trial) -> None:
    home = trial.scratch(trial.seed, lines=2000)
    one, two = (_terminal(trial, home) for _ in range(2))
    one.run("echo from the first terminal")
    # bash overwrites the file at the end of a session that was longer than its list of commands, and adds to it otherwise.
    # So one terminal has to be in use for a while: 650 commands, some of them again and again.
    two.run('for n in {1..650}; do history -s "echo command $((n > 550 ? n % 10 : n))"; done')
    two.run("echo from the second terminal")
    one.close()
    two.close()
    third = _terminal(trial, home)
    histfile = third.run('printf "%s\\n" "$HISTFILE"').split("\n")[0].strip()
    asked = (
        "shopt -q histappend || { declare -p PROMPT_COMMAND; declare -f; } 2> /dev/null | grep -q 'history -a'; echo $?"
    )
    appends = third.run(asked).strip().startswith("0")
    tried = "two terminals; a command in one, 650 in the other; close both; read the history file"
    if not histfile:
        raise Miss("No history is written: HISTFILE is empty. Secrets are kept out of it by a blank before the command.", tried=tried, got='HISTFILE=""', wanted="a history file", name="no-history-file")  # fmt: skip
    try:
        text = _history(home, (trial.home, home), histfile)
    except OSError as error:
        raise Miss("HISTFILE does not name an ordinary file of your home, so nobody can look whether both terminals keep what they learn.", tried=tried, got=f"HISTFILE={histfile}: {error.strerror}", wanted="a file like ~/.bash_history", name="no-history-file") from None  # fmt: skip
    missing = [name for name in ("first", "second") if f"echo from the {name} terminal" not in text]
    if missing:
        say, name = "The terminal that is closed last overwrites what the other one learned. bash can append instead.", "no-histappend"  # fmt: skip
        if appends:
            say, name = f"It appends, and keeps {text.count(chr(10))} lines only: what is older falls out. HISTSIZE and HISTFILESIZE can be larger.", "history-too-short"  # fmt: skip
        raise Miss(
            say, tried=tried, got=f"lost: the {' and the '.join(missing)} terminal", wanted="both commands", name=name
        )


MOST_HISTORY = 4 * 1024 * 1024


def _history(home: Path, shown: tuple[Path, ...], histfile: str) -> str:
    """What stands in a history file of `home`; empty where it is not there yet. shown: what the home is called inside.

    Raises OSError where it is elsewhere, or no ordinary file.
    """
    inside = next((Path(histfile).relative_to(one) for one in shown if Path(histfile).is_relative_to(one)), None)
    if inside is None:
        raise OSError(errno.EINVAL, "it is elsewhere")
    try:
        return plain.read(home, inside, MOST_HISTORY).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


@_expects("the first letters and ↑ find an old command", points=0.5)
def history_search(trial: Trial) -> None:
    terminal = _terminal(trial)
    terminal.run("echo needle in the haystack")
    for number in range(3):
        terminal.run(f"true {number}")
    terminal.clear().type("echo nee").press("UP")
    if "echo needle in the haystack" not in terminal.line():
        raise Miss("↑ goes to the last command instead of the last one that begins with what you typed. bash calls what you need history-search-backward; bind it to the arrow.", tried="echo nee↑", got=terminal.line(), wanted="echo needle in the haystack", name="no-search")  # fmt: skip


@_expects("rm asks before it deletes", points=0.5)
def alias_safe(trial: Trial) -> None:
    home = trial.scratch(trial.seed, lines=2000)
    terminal = _terminal(trial, home)
    terminal.run("mkdir -p try-me && touch try-me/one try-me/two try-me/three try-me/four try-me/five")
    # As long as rm waits for an answer it runs, so there is no quiet to wait for: wait for its question, or for its end.
    terminal.clear().type("rm try-me/*")
    shown = len(terminal.raw)
    terminal.press("ENTER", patience=0.3)
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        if shell.plain(terminal.raw[shown:]).strip() or terminal.at_prompt():
            break
        terminal.settle(patience=0.2)
    question, asks = terminal.text(), not terminal.at_prompt()
    terminal.type("n", patience=0.2).press("ENTER", "CTRL-C", patience=0.5)
    try:
        left = len(plain.names(home, "try-me"))
    except OSError:
        left = 0
    if left < 5:
        raise Miss("It deleted without a question. An alias can make rm ask in your terminal; scripts are not touched by it.", tried="rm try-me/*  (five files), answer n", got=shorten(question, 4), wanted="a question, and five files left", name="rm-does-not-ask")  # fmt: skip
    if not asks:
        raise Miss("The files are still there, but nobody asked: the prompt came back at once. rm -i asks.", tried="rm try-me/*  (five files)", got=shorten(question, 4), wanted="a question that waits for an answer", name="rm-does-not-ask")  # fmt: skip


# ---- 1.2 ------------------------------------------------------------------------------------------------------------

SCRIPT = "bin/late_feeds.sh"

late_feed = module.task(
    "1.2",
    "Which partner feed is late?",
    files=[SCRIPT, "answers/late_feed.txt"],
    uses=["bin/*"],
    hints=[
        ("Build the pipeline from left to right, and put “| head” at its end each time to look: first only the lines that are "
        "late, then only the partner of each line, then count."),
        ("cut -d' ' -f4 takes the fourth word of a line. uniq only sees neighbours, so sort comes before it; uniq -c counts. "
        "A second cut, with -d= -f2, takes what stands behind the = sign. sort -rn sorts by number, the biggest first."),
        ("“LATE” also stands in file names that begin with LATEST. What stands before and after the word in the lines that "
        "you mean? In a script the file is \"$1\", with the quotes."),
        ("grep exits with 1 where no line matches, and with 2 where there is no file. With pipefail a perfect day ends the "
        "script. Braces help, and forgive the 1 only: { grep … || [ $? -eq 1 ]; } | cut …"),
    ],
)  # fmt: skip


@late_feed.expects("it is a script that can be started by its name", points=0.5)
def script_runs(trial: Trial) -> None:
    text = _unix(trial, SCRIPT)
    first = text.split("\n", 1)[0]
    if not first.startswith("#!"):
        raise Miss("The first line does not say who shall read it. Begin with #!/usr/bin/env bash", tried=f"head -1 ~/{SCRIPT}", got=first, wanted="#!/usr/bin/env bash", name="no-shebang")  # fmt: skip
    if not os.access(trial.home / SCRIPT, os.X_OK):
        raise Miss(f"It may not be executed. chmod +x ~/{SCRIPT}", tried=f"ls -l ~/{SCRIPT}", got=stat.filemode((trial.home / SCRIPT).stat().st_mode), wanted="an x among the rights", name="not-executable")  # fmt: skip
    if missing := _missing_interpreter(first, trial.home):
        raise Miss(f"The first line sends it to {missing}, which is not there. Begin with #!/usr/bin/env bash", tried=f"head -1 ~/{SCRIPT}", got=first, wanted="#!/usr/bin/env bash", name="bad-shebang")  # fmt: skip
    if len([line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]) == 0:
        raise Miss("It does nothing yet: there is no command in it.", tried=f"read ~/{SCRIPT}", got=text, wanted="a pipeline", name="missing")  # fmt: skip


def _missing_interpreter(first: str, home: Path) -> str:
    """The program that a first line #!… asks for, where there is none of that name; else ''."""
    program, *options = first[2:].split() or ["nothing"]
    if not (program.startswith("/") and os.access(program, os.X_OK) and Path(program).is_file()):
        return program
    names = [word for word in options if not word.startswith("-")]
    if Path(program).name == "env" and not (names and shutil.which(names[0], path=workspace.environment(home)["PATH"])):
        return names[0] if names else "nothing"
    return ""


@dataclass(frozen=True)
class Log:
    """A log as it was before a script was run on it. known: the one that lies beside it, which the learner knows."""

    name: str
    text: str
    known: str


def _late(trial: Trial, twist: str = "", name: str = "partner-feeds-2026-11-21.log"):
    """The learner's script on a log it has not seen: what it printed, what is true, and the log."""

    def make():
        home = trial.scratch(lines=2000)
        twists = trial.twists | ({twist} if twist else set())
        day = home / "logs" / "partner-feeds-2026-11-21.log"
        truth = feeds.write(day, trial.unseen, lines=20_000, twists=frozenset(twists))
        known = (home / "logs" / f"partner-feeds-{scenario.DAY}.log").read_text()
        log = Log(name, day.rename(home / "logs" / name).read_text(), known)
        return trial.run([SCRIPT, f"logs/{name}"], home=home), truth, log

    return trial.once(f"late {twist} {name}", make)


def _pairs(out: str) -> list[tuple[str, int]]:
    """(partner, count) for each line of output; either may come first, `partner=` may stay, `:` or `,` may separate them."""
    pairs = []
    for line in out.splitlines():
        words = re.sub(r"partner=|[:,;|]", " ", line).split()
        numbers = [word for word in words if word.isdigit()]
        if len(words) == 2 and len(numbers) == 1:
            words.remove(numbers[0])
            pairs.append((words[0], int(numbers[0])))
        elif words:
            raise Miss("A line is not a count and a partner.", tried=f"{SCRIPT} another-day.log", got=line[:200], wanted="     42 bikebarn", name="form")  # fmt: skip
    return pairs


def _looks_like(truth: Counter, most: int = 6) -> str:
    return "\n".join(f"{count:7d} {name}" for name, count in truth.most_common(most))


@late_feed.expects(
    "it counts the late files of each partner, on a log it has not seen", points=1.5, needs="script_runs"
)
def counts(trial: Trial) -> None:
    done, truth, log = _late(trial)
    tried = f"{SCRIPT} another-day.log"
    got = shorten((done.out or "(nothing)") + ("\n" + done.err if done.err else ""), 8)
    pairs = _pairs(done.out)
    if not pairs:
        raise Miss("It printed nothing. Does it read the file that it is given as “$1”?", tried=tried, got=got, wanted=_looks_like(truth), name="no-output")  # fmt: skip
    found = Counter(dict(pairs))
    if found == truth:
        return
    if len(pairs) > len(found):
        raise Miss("Partners appear more than once: uniq only compares neighbours, so equal names must stand together first.", tried=tried, got=got, wanted=_looks_like(truth), name="uniq-before-sort")  # fmt: skip
    every, wide, any_case = (Counter() for _ in range(3))
    for line in log.text.splitlines():
        name = line.split(" ")[3].removeprefix("partner=")
        every[name] += 1
        wide[name] += "LATE" in line
        any_case[name] += "late" in line.lower()
    say, name = "The counts are not right.", "counts"
    if found == every:
        say, name = "These are all files, not the late ones.", "no-filter"
    elif found == wide:
        say, name = "It also counts files that are called LATEST_…: their name contains the word, their status is OK.", "grep-too-wide"  # fmt: skip
    elif found == any_case:
        say, name = "It also counts files whose name, or whose partner's name (latelier), contains the word. Their status is OK.", "grep-too-wide"  # fmt: skip
    elif found in _known_days(log):
        say, name = "These are the counts of the log that you know. In a script, the file to read is the one it is given: \"$1\".", "hard-coded"  # fmt: skip
    elif all(truth[partner] == count for partner, count in pairs):
        say, name = (
            "These are right, but others were late too, and are missing. Is there a “head” at the end?",
            "cut-short",
        )
    raise Miss(say, tried=tried, got=got, wanted=_looks_like(truth), name=name)


def _known_days(log: Log) -> list[Counter]:
    """The counts of the log that lies beside the unseen one, under the name that the learner knows: by status, and by the bare word."""
    lines = log.known.splitlines()
    return [
        Counter(line.split(" ")[3].removeprefix("partner=") for line in lines if word in line)
        for word in (" status=LATE ", "LATE")
    ]


@late_feed.expects("the worst comes first", points=0.5, needs="script_runs counts")
def worst_first(trial: Trial) -> None:
    done, truth, _ = _late(trial, "one digit")
    numbers = [count for _, count in _pairs(done.out)]
    if numbers != sorted(numbers, reverse=True):
        name, say = "not-sorted", "The order is not by count, the biggest first."
        if numbers == sorted(numbers):
            name, say = "ascending", "The order is upside down: the smallest comes first."
        elif list(map(str, numbers)) == sorted(map(str, numbers), reverse=True):
            name, say = (
                "sorted-as-text",
                "The counts are sorted as text, where 9 comes after 104. sort can compare numbers.",
            )
        raise Miss(say, tried=f"{SCRIPT} a-quiet-day.log", got=done.out, wanted=_looks_like(truth, 8), name=name)


@late_feed.expects("it takes any file, also one with a space in its name", points=0.5, needs="script_runs counts")
def any_file(trial: Trial) -> None:
    done, truth, log = _late(trial, name="partner feeds (copy).log")
    if Counter(dict(_pairs(done.out))) != truth:
        raise Miss("With a space in the name it does not find the file. $1 without quotes becomes two words; write \"$1\".", tried=f"{SCRIPT} 'logs/{log.name}'", got=shorten(done.err or done.out or "(nothing)", 5), wanted=_looks_like(truth), name="unquoted")  # fmt: skip


@late_feed.expects("a perfect day is no failure, a missing file is one", points=0.5, needs="script_runs counts")
def edges(trial: Trial) -> None:
    done, _, _ = _late(trial, "none late")
    perfect = {"tried": f"{SCRIPT} perfect-day.log; echo $?", "wanted": "nothing, exit code 0"}
    perfect["got"] = f"{shorten(done.out + done.err, 4)}\nexit code {done.code}".strip()
    if done.code:
        raise Miss("A day without a late file is a good day, and the script calls it a failure. grep exits with 1 where nothing matches.", **perfect, name="no-match-fails")  # fmt: skip
    try:
        silent = not +Counter(dict(_pairs(done.out)))  # a count of 0 is said by some, and is no mistake
    except Miss:
        silent = False
    if not silent:
        raise Miss("On a day without a late file there is nothing to print: the next program would take any line for a partner. What is meant for people goes to stderr.", **perfect, name="not-silent")  # fmt: skip
    missing = trial.run([SCRIPT, "logs/no-such.log"], home=trial.scratch(lines=2000))
    if missing.code == 0:
        say = "The file is not there, and the script says that all is well. Whoever calls it believes that nobody was late."
        if re.search(r"\|\|\s*(true|:)", trial.read(SCRIPT)):
            say += " “|| true” forgives everything; grep says 1 for no match, and 2 for no file."
        raise Miss(say, tried=f"{SCRIPT} logs/no-such.log; echo $?", got=f"{shorten(missing.out + missing.err, 4)}\nexit code 0".strip(), wanted="an exit code other than 0", name="missing-file-passes")  # fmt: skip


@late_feed.expects("~/answers/late_feed.txt names the partner", points=0.5)
def partner_named(trial: Trial) -> None:
    text = trial.read("answers/late_feed.txt")
    named = [word for word in re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text.lower()) if word in feeds.PARTNERS]
    worst, latest_files = _worst_of_today(trial.seed)
    if set(named) == {worst}:
        return
    say, name = "That is not the partner with the most late files.", "wrong-partner"
    if not named:
        say, name = "There is no partner's name in it.", "no-name"
    elif len(set(named)) > 1:
        say, name = "More than one partner is named. Which one is late most often?", "whole-list"
    elif named[0] == latest_files:
        say, name = "That partner has the most files called LATEST_…, which are in time. Late files have the status LATE.", "grep-too-wide"  # fmt: skip
    raise Miss(say, tried="cat ~/answers/late_feed.txt", got=shorten(text.strip(), 3) or "(an empty file)", wanted="one name, as it is written in the log", name=name)  # fmt: skip


@functools.cache
def _worst_of_today(seed: int) -> tuple[str, str]:
    """The partner with the most late files in the learner's own log, and the one whom a search for the bare word finds."""
    with tempfile.TemporaryDirectory(prefix="opslab-") as folder:
        log = Path(folder) / f"partner-feeds-{scenario.DAY}.log"
        late = feeds.write(log, seed)
        wide = Counter(line.split(" ")[3].removeprefix("partner=") for line in log.open() if "LATE" in line)
    return late.most_common(1)[0][0], wide.most_common(1)[0][0]


# ---- 1.3 ------------------------------------------------------------------------------------------------------------

FORM = "answers/loader.txt"
KEYS = ("root_cause", "first_seen", "line")

read_log = module.task(
    "1.3",
    "Read the log",
    files=[FORM],
    hints=[
        "Do not read from the top. Ask for the places first: grep -n 'ERROR\\|Caused by' logs/loader.log",
        (
            "In Java the outer layers come first, and each “Caused by” goes one layer down. The last one of a chain is the root. "
            "And a WARN that is followed by “continuing without …” was survived."
        ),
        (
            "The same failure happened three times. You want the first: its ERROR line has the time, its last “Caused by” the "
            "class, and grep -n has told you the number of that line."
        ),
    ],
)


def _loader_form(trial: Trial) -> dict[str, str]:
    answers = trial.answers(FORM, KEYS)
    if not answers:
        raise Miss("The form is still empty. Write behind the colons what you found.", tried=f"read ~/{FORM}", got="\n".join(f"{key}:" for key in KEYS), wanted="a value for each", name="missing")  # fmt: skip
    return answers


def _given(answers: dict[str, str], key: str) -> str:
    if key not in answers:
        raise Miss(f"There is nothing behind “{key}:” yet.", tried=f"read ~/{FORM}", got=f"{key}:", wanted=f"{key}: …", name="missing")  # fmt: skip
    return answers[key]


def _one_only(key: str, given: str, found: list[str]) -> None:
    if len(set(found)) > 1:
        raise Miss("These are several answers. In the meeting only one helps: which?", tried=f"{key} in ~/{FORM}", got=given, wanted="one", name="several")  # fmt: skip


@read_log.expects("the root cause is named", points=1)
def root_cause(trial: Trial) -> None:
    text, answer = loader.log(trial.seed)
    given = _given(_loader_form(trial), "root_cause")
    # The line of the log, or backticks around the name, do no harm; of several names the first counts.
    kinds = list(dict.fromkeys(re.findall(r"\w+(?:Exception|Error)\b", given)))
    _one_only("root_cause", given, kinds)
    kind = kinds[0] if kinds else given.strip()
    if kind == answer.root_cause.split(".")[-1]:
        return
    say, misconception = "That is not the root of the failure.", "wrong-cause"
    if kind in ("ConnectException", "MetricsException"):
        say = "That one was survived: read the line after it. The job went on for minutes, and failed over something else."
        misconception = "decoy"
    elif kind in ("LoaderException", "StepFailedException", "JobExecutionException"):
        say = "That is a layer above: it says that something failed below it. Follow “Caused by” further down, to the last one."
        misconception = "stopped-halfway"
    elif kind == "IOException":
        say = "“Suppressed” came up while cleaning up after the failure. It is a consequence, not the cause."
        misconception = "suppressed"
    elif kind not in text:
        say = "This name does not stand in the log. Copy the class as it is written there."
        misconception = "not-in-log"
    raise Miss(say, tried=f"root_cause in ~/{FORM}", got=given, wanted="the class behind the last “Caused by” of the failure", name=misconception)  # fmt: skip


@read_log.expects("the first bad moment is found", points=1)
def first_seen(trial: Trial) -> None:
    text, answer = loader.log(trial.seed)
    given = _given(_loader_form(trial), "first_seen")
    clock = re.search(r"(\d{2}:\d{2}:\d{2})", given)
    _one_only("first_seen", given, re.findall(r"\d{2}:\d{2}:\d{2}", given))
    if clock and clock[1] == answer.first_seen[11:19]:
        return
    say, name = "That is not when it first went wrong.", "wrong-time"
    if not clock:
        say, name = "No time was found in it; write it as in the log.", "form"
    elif re.search(rf"{clock[1]}Z ERROR", text):
        say, name = "It had gone wrong before that: this is a later attempt, or the end.", "last-not-first"
    elif re.search(rf"{clock[1]}Z WARN", text):
        say, name = "At that moment a warning was written, and survived.", "decoy"
    raise Miss(say, tried=f"first_seen in ~/{FORM}", got=given, wanted=f"a time like {answer.first_seen[:11]}HH:MM:SSZ", name=name)  # fmt: skip


@read_log.expects("the line that matters is found", points=1)
def line(trial: Trial) -> None:
    text, answer = loader.log(trial.seed)
    given = _given(_loader_form(trial), "line")
    number = re.search(r"\d+", given.replace(",", ""))
    _one_only("line", given, re.findall(r"\d+", given))
    if number and int(number[0]) == answer.line:
        return
    lines = text.splitlines()
    at = int(number[0]) if number else 0
    there = lines[at - 1] if 0 < at <= len(lines) else ""
    say, name = "Another line of the log matters.", "wrong-line"
    if not number:
        say, name = "No number was found in it.", "form"
    elif at == answer.line - 1 or at == answer.line + 1:
        say, name = "One line off. grep -n counts from 1, and so do we.", "off-by-one"
    elif answer.root_cause in there:
        say, name = "The right words, but of a later attempt. The first one matters.", "last-not-first"
    elif "Caused by: com.targ.loader.LoaderException" in there:
        say, name = "That is a layer above: it says that something failed below it. Follow “Caused by” further down.", "stopped-halfway"  # fmt: skip
    elif re.search("ConnectException|MetricsException|metrics", there):
        say, name = "That one was survived: “continuing without metrics”. The job failed over something else.", "decoy"
    elif "ERROR" in there:
        say, name = "This line says that it failed. We look for the one that says why.", "symptom"
    raise Miss(say, tried=f"line in ~/{FORM}", got=f"{given}: {there.strip()[:120]}", wanted="the number of the line that names the root cause for the first time", name=name)  # fmt: skip


# ---- 1.4 ------------------------------------------------------------------------------------------------------------

EXPORT = "jobs/export.sh"
DAY = "2026-11-19"

loud = module.task(
    "1.4",
    "A script that fails loudly",
    files=[EXPORT],
    uses=[".[!.]*", "bin", "jobs/*"],
    hints=[
        ("Try it by hand on a broken day: take a column out of a line of ~/warehouse/orders-2026-11-16.tsv, run the job, "
        "then echo $?. (“opslab reset 1.4” gives you the file back.)"),
        ("set -euo pipefail, as the first command: -e ends at the first failure, pipefail lets a pipeline fail where any part "
        "of it fails, -u refuses variables that are not set."),
        ("Temporary files: work=$(mktemp -d) makes a folder that nobody else has; trap 'rm -rf \"$work\"' EXIT removes it "
        "whatever happens. Publish as the very last step, when all is there."),
        "To say what failed: day=$1; trap 'echo \"export of $day failed\" >&2' ERR. And quote: \"$1\", \"$work/orders.csv.gz\".",
    ],
)  # fmt: skip


def _export(trial: Trial, *days: str, before: str = "", after: str = "", fault: str = "", env: dict | None = None):
    """Run the learner's export in a fresh world: (what came back, the outbox afterwards, what should be in it)."""
    home = trial.scratch(lines=10)
    days = days or (DAY,)
    wanted = {f"orders-{day}.csv.gz": scenario.orders(home, day, trial.unseen, fault=fault) for day in days}
    if fault == "outbox":
        (home / "outbox").rmdir()
    # What lies in the temporary folder of the jail goes with the jail, so it is looked at before that ends.
    # A job may keep a log.
    pruned = " ".join(f'-path "$HOME/{folder}" -prune -o' for folder in ("outbox", "logs", ".cache"))
    # A home may lie in /tmp, and be found twice.
    listing = f'find /tmp "$HOME" {pruned} -print | sort -u'
    start = f"{_start(trial, EXPORT)} {_quoted(days[0])}"
    script = before or f"{start}; code=$?"
    wrapper = f'{listing} > /tmp/.before; {script}\n{after}\n{listing} > /tmp/.after; comm -13 /tmp/.before /tmp/.after > "$HOME/outbox.left" ; exit $code'
    done = trial.run(["bash", "-c", wrapper], home=home, env=env)
    outbox, left = {}, []
    with contextlib.suppress(OSError):
        outbox = {name: _unpacked(home, f"outbox/{name}") for name in plain.names(home, "outbox")[:MOST_ENTRIES]}
    own = ("/tmp/.before", "/tmp/.after")
    with contextlib.suppress(OSError):
        listed = plain.read(home, "outbox.left", UNPACKED).decode("utf-8", "replace")
        left = [name for name in listed.splitlines() if name not in own]
    shown = str(trial.home)
    return done, outbox, wanted, [name.replace(shown, "~").replace(str(home), "~") for name in left]


def _start(trial: Trial, script: str) -> str:
    """How the scheduler starts a script: by its name. Raises Miss where that cannot go well."""
    _unix(trial, script)
    path = trial.home / script
    if not os.access(path, os.X_OK):
        raise Miss(f"It may not be executed any more; the scheduler starts it by its name. chmod +x ~/{script}", tried=script, got=f"Permission denied ({stat.filemode(path.stat().st_mode)})", wanted="an x among the rights", name="not-executable")  # fmt: skip
    return script


def _unix(trial: Trial, script: str) -> str:
    """The text of a file. Raises Miss where it has the line ends of Windows."""
    text = trial.read(script)
    if "\r" in text:
        first = text.split("\n", 1)[0]
        why = (
            "the system looks for an interpreter called “bash\\r”"
            if text.startswith("#!")
            else "the CR is taken for a part of the text"
        )
        raise Miss(f"~/{script} has Windows line ends (CR LF); {why}. Save it with LF.", tried=f"read ~/{script}", got=repr(first), wanted="lines that end in \\n", name="crlf")  # fmt: skip
    return text


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


NOT_GZIP = "(not a whole gzip file)"
UNPACKED = 4 * 1024 * 1024
MOST_ENTRIES = 100


def _unpacked(home: Path, path: str) -> str:
    """The text of a packed file in `home`. Where the export has put something else there, that is no gzip file."""
    try:
        with gzip.open(io.BytesIO(plain.read(home, path, UNPACKED)), "rt") as file:
            return file.read(UNPACKED)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return NOT_GZIP


def _said(done) -> str:
    return f"{shorten((done.out + done.err).strip(), 6)}\nexit code {done.code}".strip()


@loud.expects("on a good day it publishes all orders and exits with 0", points=0)
def good_day(trial: Trial) -> None:
    done, outbox, wanted, _ = trial.once("good day", lambda: _export(trial))
    (name, text), *_ = wanted.items()
    if done.code or outbox.get(name) != text:
        there = "empty"
        if name in outbox:
            there = (
                NOT_GZIP if outbox[name] == NOT_GZIP else f"{name} with {max(outbox[name].count(chr(10)) - 1, 0)} rows"
            )
        elif outbox:
            there = ", ".join(outbox)
        raise Miss("A good day must still work.", tried=f"{EXPORT} {DAY}; echo $?", got=f"{_said(done)}\noutbox: {there}", wanted=f"outbox/{name} with {text.count(chr(10)) - 1} rows, exit code 0", name="breaks-good-day")  # fmt: skip


def _must_fail(trial: Trial, fault: str, tried: str) -> None:
    done, outbox, _, _ = _export(trial, fault=fault)
    if done.code == 0 and fault == "outbox" and outbox:
        raise Miss("It made an outbox of its own. Finance looks into the real one, which was not there, and finds nothing; and nobody is called.", tried=tried, got=_said(done), wanted="an exit code other than 0", name="own-outbox")  # fmt: skip
    if done.code == 0:
        raise Miss("It failed and reported success: exit code 0. Nobody will be called tonight.", tried=tried, got=_said(done), wanted="an exit code other than 0", name="green-but-broken")  # fmt: skip
    if outbox:
        name, text = next(iter(outbox.items()))
        raise Miss("It does exit with a failure, but it has published what it had. Finance reads half a day and does not know.", tried=tried, got=f"outbox/{name} with {max(text.count(chr(10)) - 1, 0)} rows, exit code {done.code}", wanted="an empty outbox", name="half-published")  # fmt: skip


@loud.expects("it fails, and publishes nothing, when the middle step fails", points=1, needs="good_day")
def middle_step(trial: Trial) -> None:
    _must_fail(trial, "bad row", f"{EXPORT} {DAY}, where one line of the day has lost a column")


@loud.expects("it fails, and publishes nothing, when the first step breaks off", points=0.5, needs="good_day")
def first_step(trial: Trial) -> None:
    _must_fail(trial, "cut off", f"{EXPORT} {DAY}, where the warehouse hangs up half way")


@loud.expects("it fails when publishing fails", points=0.5, needs="good_day")
def last_step(trial: Trial) -> None:
    _must_fail(trial, "outbox", f"{EXPORT} {DAY}, where the outbox is not there")


@loud.expects("it says on stderr which day failed, and never “done”", points=0.5, needs="good_day middle_step")
def says_so(trial: Trial) -> None:
    done, _, _, _ = _export(trial, fault="bad row")
    if re.search(r"\bdone\b", done.out):
        raise Miss("It says “done” about an export that failed.", tried=f"{EXPORT} {DAY} (a broken day)", got=_said(done), wanted="no “done”", name="says-done")  # fmt: skip
    # What it says on a good day as well tells nobody that something failed.
    usual = set(trial.once("good day", lambda: _export(trial))[0].err.splitlines())
    if not any(DAY in line for line in done.err.splitlines() if line not in usual):
        on_stdout = DAY in done.out
        raise Miss("The message went to stdout, where it is taken for output. >&2 sends it to stderr." if on_stdout else "Whoever is called at night reads stderr first. Which export was it, of which day? A trap on ERR can say it.", tried=f"{EXPORT} {DAY} 2> errors (a broken day)", got=shorten(done.err.strip() or "(nothing on stderr)", 5), wanted=f"a line with {DAY}", name="stdout" if on_stdout else "silent")  # fmt: skip


@loud.expects("it leaves no temporary files behind, however it ends", points=0.5, needs="good_day")
def tidy(trial: Trial) -> None:
    stopped = (
        f"set -m; {_start(trial, EXPORT)} {DAY} & pid=$!; sleep 0.4; kill -TERM -- -$pid; wait $pid; code=0; sleep 0.2"
    )
    cases = (
        ("a good day", {}),
        ("a broken day", {"fault": "bad row"}),
        ("stopped with a signal half way", {"before": stopped, "env": {"WAREHOUSE_IS_SLOW": "1"}}),
    )
    for title, case in cases:
        _, _, _, left = _export(trial, **case)
        if left:
            raise Miss("Something was left behind. trap '…' EXIT cleans up on every way out.", tried=f"{EXPORT} {DAY}: {title}; then look around", got=shorten("\n".join(left), 6), wanted="nothing new outside of the outbox", name="leftovers")  # fmt: skip


@loud.expects("two at the same time do not disturb each other", points=0.5, needs="good_day")
def two_at_once(trial: Trial) -> None:
    other = "2026-11-20"
    start = _start(trial, EXPORT)
    both = f"{start} {DAY} & one=$!; {start} {other} & two=$!; code=0; wait $one || code=$?; wait $two || code=$?"
    done, outbox, wanted, _ = _export(trial, DAY, other, before=both, env={"WAREHOUSE_IS_SLOW": "0.3"})
    wrong = [name for name in wanted if outbox.get(name) != wanted[name]]
    if wrong:
        raise Miss("They share a temporary file, and each writes over the other. mktemp gives each run a name of its own.", tried=f"{EXPORT} {DAY} &  {EXPORT} {other} &  wait", got=f"not right: {', '.join(wrong)}\n{_said(done)}", wanted="both days, whole", name="shared-temp-file")  # fmt: skip


@loud.expects("a day with a space in its name works", points=0.5, needs="good_day")
def with_space(trial: Trial) -> None:
    day = "2026-11-19 rerun"
    done, outbox, wanted, _ = _export(trial, day)
    if done.code or any(outbox.get(name) != text for name, text in wanted.items()):
        raise Miss("With a space in it, $1 without quotes becomes two words.", tried=f'{EXPORT} "{day}"', got=_said(done), wanted=f"outbox/orders-{day}.csv.gz, exit code 0", name="unquoted")  # fmt: skip


# ---- 1.5 ------------------------------------------------------------------------------------------------------------

PLACE = ".secrets/warehouse"
REPORT = "jobs/report.sh"

secrets = module.task(
    "1.5",
    "passwords.txt",
    files=[".secrets", "passwords.txt", REPORT, "jobs/report.sh.bak", "notes", ".bash_history"],
    uses=[".[!.]*", "bin", "jobs/*"],
    hints=[
        ("First find all places, with a space before the command, so that the search is not itself remembered (HISTCONTROL "
        "has ignorespace):  grep -rlF 'THE-PASSWORD' ~   It lists the files that hold the password."),
        ("mkdir -m 700 ~/.secrets; then the password, alone on one line, in ~/.secrets/warehouse; chmod 600 for the file. "
        "6 is read and write for you, the two 0 are nothing for everybody else."),
        ("Arguments of a command are seen by everybody who types ps. “head ~/tools/warehouse” shows two other ways to hand it "
        "the password. To take lines out of a file: an editor; or grep -v … FILE > new; mv new FILE (never into the file itself, which > empties first). It keeps "
        "all lines but those that match. Close other terminals here first: an open bash writes its memory back when it ends."),
        ("report.sh then needs neither the password nor a variable with it in the file: "
        'warehouse --password-file "$HOME/.secrets/warehouse" report'),
    ],
)  # fmt: skip


def _report(trial: Trial, home: Path):
    return trial.run(["bash", "-c", _start(trial, REPORT)], home=home)


@secrets.expects("the report still works", points=0)
def report_works(trial: Trial) -> None:
    trial.read(REPORT)
    done = _report(trial, trial.scratch(trial.seed, lines=10))
    if done.code or "bikes" not in done.out:
        say, name = "The report itself must go on working.", "report-broken"
        if (trial.home / RC).is_file() and "WAREHOUSE_PASSWORD" in trial.read(RC):
            say, name = f"It works in your terminal, which has read ~/{RC}. At seven in the morning nobody is logged in, and nothing reads that file: the report has to get the password itself.", "only-in-rc"  # fmt: skip
        raise Miss(
            say, tried=f"{REPORT}; echo $?", got=_said(done), wanted="sales per category, exit code 0", name=name
        )


@secrets.expects("the password is in ~/.secrets/warehouse, for nobody's eyes but yours", points=1)
def right_place(trial: Trial) -> None:
    folder = (trial.home / PLACE).parent
    if folder.is_dir() and not folder.stat().st_mode & 0o100:
        shown = "~/" + str(folder.relative_to(trial.home))
        raise Miss(f"Nobody can go into {shown}, you neither: a folder needs the right x to be entered. chmod 700 {shown}", tried=f"ls -ld {shown}", got=stat.filemode(folder.stat().st_mode), wanted="drwx------ (700)", name="folder-closed")  # fmt: skip
    text = _unix(trial, PLACE)
    if text.strip() != scenario.password(trial.seed):
        raise Miss("The file is there, but does not hold just the password: one line, nothing else, no quotes.", tried=f"read ~/{PLACE}", got="(something else)" if text.strip() else "(empty)", wanted="the password of report_bot, alone on its line", name="not-the-password")  # fmt: skip
    for path, wanted in ((trial.home / PLACE, 0o600), ((trial.home / PLACE).parent, 0o700)):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            shown = "~/" + str(path.relative_to(trial.home))
            raise Miss(f"Others may look into it. chmod {wanted:o} {shown}", tried=f"ls -ld {shown}", got=f"{stat.filemode(path.stat().st_mode)} ({mode:o})", wanted=f"{wanted:o}", name="open-to-others")  # fmt: skip


@secrets.expects("and in no other file, history included", points=1, needs="right_place")
def nowhere_else(trial: Trial) -> None:
    secret = scenario.password(trial.seed).encode()
    encoded = _in_base64(secret)
    found, spelled = [], []
    for folder, names, files in os.walk(trial.home):
        names[:] = [name for name in names if not (Path(folder) / name).is_symlink()]
        for name in files:
            path = Path(folder) / name
            if (
                path == trial.home / PLACE
                or path.is_symlink()
                or not path.is_file()
                or path.stat().st_size > 50_000_000
            ):
                continue
            try:
                content = path.read_bytes()
            except OSError:
                continue
            shown = "~/" + str(path.relative_to(trial.home))
            if secret in content:
                found.append(shown)
            elif any(form in content for form in encoded):
                spelled.append(shown)
    if spelled and not found:
        raise Miss("base64 is another way to write it, not a lock: “base64 -d” gives it back to whoever has the file.", tried="search every file of the workspace for the password in base64", got="\n".join(sorted(spelled)), wanted=f"only ~/{PLACE}", name="encoded")  # fmt: skip
    if found:
        say = "Whoever gets a copy of one of these files gets the password."
        if any(path.endswith(".bash_history") for path in found):
            say += " A terminal that is still open writes its old memory into the history when it ends: close it, then clean the file."
        if any(".ipynb_checkpoints" in path for path in found):
            say += " JupyterLab keeps a copy of each file that it opens, in a folder .ipynb_checkpoints beside it: rm -r takes it away."
        raise Miss(say, tried="search every file of the workspace for the password", got="\n".join(sorted(found + spelled)), wanted=f"only ~/{PLACE}", name="still-in-history" if found == ["~/.bash_history"] else "still-there")  # fmt: skip


def _in_base64(secret: bytes) -> list[bytes]:
    """What of base64 does not change with what stands around a secret, for each of the three ways it can be aligned."""
    forms = []
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + secret)
        forms.append(whole[(0, 2, 3)[before] : (before + len(secret)) * 8 // 6])
    return forms


@secrets.expects("while the report runs, the process list does not show it", points=1, needs="report_works right_place")
def not_in_ps(trial: Trial) -> None:
    home = trial.scratch(trial.seed, lines=10)
    tool = home / "tools" / "warehouse"
    tool.rename(home / "tools" / "warehouse.real")
    seen_in = f".{uuid.uuid4().hex}"  # whoever does not know its name cannot empty it
    tool.write_text(LOOK_AROUND.replace(".seen", seen_in))
    tool.chmod(0o755)
    done = _report(trial, home)
    try:
        seen = plain.read(home, seen_in, UNPACKED).decode("utf-8", "replace")
        if "warehouse" not in seen:
            raise OSError(errno.ENODATA, "not even the one who looks is in it")
    except OSError:
        raise Miss("The report did not ask the warehouse.", tried=REPORT, got=_said(done), wanted="a call of “warehouse … report”", name="warehouse-not-asked") from None  # fmt: skip
    secret = scenario.password(trial.seed)
    shown = [line for line in seen.splitlines() if secret in line]
    if shown:
        raise Miss("Everybody on this machine who typed ps at that moment could read it.", tried=f"ps, while {REPORT} runs", got="\n".join(sorted(set(shown))).replace(secret, "THE-PASSWORD"), wanted="command lines without the password", name="in-ps")  # fmt: skip


LOOK_AROUND = """\
#!/usr/bin/env bash
# Stands in front of the real command for one check: notes what `ps` would show everybody, then lets it do its work.
if [ -d /proc/self ]; then
    for process in /proc/[0-9]*; do tr '\\0' ' ' < "$process/cmdline"; echo; done > "$HOME/.seen" 2> /dev/null
else
    ps -A -o args > "$HOME/.seen"
fi
exec "$HOME/tools/warehouse.real" "$@"
"""


def _rotated(trial: Trial, noted: str, valid: str):
    """The report in a fresh world in which one password stands in its place, and one is valid in the warehouse."""
    home = trial.scratch(trial.seed, lines=10)
    (home / PLACE).chmod(0o600)  # some let themselves only read it
    (home / PLACE).write_text(noted + "\n")
    scenario.set_password(home, valid)
    return _report(trial, home)


@secrets.expects("it is read when the report runs: change it in that one place, and the report follows", points=1, needs="report_works right_place")  # fmt: skip
def one_place(trial: Trial) -> None:
    fresh = scenario.password(trial.seed + 1000)
    if "bikes" in _rotated(trial, noted="a slip of the pen", valid=fresh).out:
        raise Miss("With a wrong password in that file, the report prints the very same. Whatever it prints, nobody has just asked the warehouse for it.", tried=f"a wrong password in ~/{PLACE}; {REPORT}", got="the report", wanted="an error", name="made-up")  # fmt: skip
    done = _rotated(trial, noted=fresh, valid=fresh)
    if done.code or "bikes" not in done.out:
        raise Miss("Somebody rotated the password, in the warehouse and in that file. The report still uses the old one.", tried=f"a new password in ~/{PLACE}; {REPORT}", got=_said(done), wanted="the report", name="copied")  # fmt: skip
