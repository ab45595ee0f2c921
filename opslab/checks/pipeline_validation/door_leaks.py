"""Personal data at the door of task 6.3: whether any is left in what a script wrote and printed, and what its hashes are made of.

>>> search(story)                            # raises Miss where something is found

"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any

from opslab.checks import Miss
from opslab.checks.pipeline_validation.door_story import RUN, Story, digest, id_of
from opslab.scenarios.pipeline_validation import door as scenario

SAYINGS = {
    "in-logs": "Personal data is printed. Logs are kept, sent around and read by more people than the table itself: print numbers and order_id, never rows.",
    "in-file-names": "Personal data is in the name of a file. Names are seen by whoever may list a folder, and stand in every log.",
    "in-clean": "Personal data is in clean.",
    "in-note": "Personal data is left in delivery_note. People write everything into a free text: their address, IN CAPITALS, their number, or only a name for the bell.",
    "in-quarantine": "Personal data is in the quarantine. It is read by those who look for mistakes, and kept for longer than anything else.",
    "in-reason": "A reason has personal data in it. Say what is wrong with the row, not what stands in it.",
    "in-report": "Personal data is in the report.",
    "in-new-column": "A column that nobody has agreed on has passed, and there is personal data in it. List the columns that pass; do not list those that do not.",
    "elsewhere": "There is personal data in a file that should not be there at all.",
}


@dataclass(frozen=True)
class Place:
    """Somewhere something personal may be. text: as it is. misconception: what it is called when it is found there."""

    shown: str
    text: str
    misconception: str


def search(story: Story) -> None:
    """Raises Miss where something personal is in what was written or printed, or the key of the hashes."""
    several = [*story.days, story.corrected]
    places, terms = _places(story), scenario.personal(several)
    phones = {re.sub(r"\D", "", phone)[-9:] for day in several for phone in day.phones}
    for place in places:
        if story.pepper in place.text:
            raise Miss(
                "The key of the hashes is in something that the script wrote or printed. Who has it can try every address.",
                tried="search for what stands in ~/secrets/pepper", got=f"found in {place.shown}", wanted="nowhere but in its file", name="key-shown",
            )  # fmt: skip
    for place in places:
        text = scenario.folded(place.text)
        text += re.sub(r"[-_.]+", " ", text) if place.misconception == "in-file-names" else ""
        what = next((terms[term] for term in terms if term in text), "")
        if not what and any(phone in re.sub(r"[ ()./-]", "", text) for phone in phones):
            what = "a phone number"
        if what:
            raise _found(what, place.shown, place.misconception)
    _parts_of_names(story)
    _tried(story, places)


def _found(what: str, where: str, misconception: str) -> Miss:
    tried = "search everything that was written and printed for the people of those days, in several spellings"
    return Miss(SAYINGS[misconception], tried=tried, got=f"{what} in {where}", wanted="nothing", name=misconception)


def _places(story: Story) -> list[Place]:
    """Everything that was written and printed, each text once; bytes last, because cells say more about where something is."""
    found: dict[Place, None] = {}
    raw: dict[Place, None] = {}
    for snapshot in story.snapshots.values():
        found[Place("what is printed", snapshot.printed, "in-logs")] = None
        for path, data in snapshot.files.items():
            layer = next(
                (name for name in scenario.OUTPUTS if path.startswith(f"{scenario.FOLDER}/{name}/")), "another place"
            )
            kind = {"clean/orders": "in-clean", "quarantine/orders": "in-quarantine", "report": "in-report"}.get(
                layer, "elsewhere"
            )
            found[Place("the name of a file", path, "in-file-names")] = None
            raw[Place(f"the bytes of a file in {layer}", data.decode(errors="replace"), kind)] = None
            read = story.parquet.get(digest(data), {})
            for number, column in enumerate(read.get("columns", ())):
                cells = {str(row[number]) for row in read["rows"] if row[number] is not None}
                name = IN_COLUMN.get((kind, column), kind)
                if kind != "elsewhere" and column not in KNOWN_COLUMNS:
                    name = "in-new-column"
                found[Place(f"column {column} in {layer}", "\n".join(sorted(cells)), name)] = None
    return [*found, *raw]


KNOWN_COLUMNS = {*scenario.COLUMNS, "buyer_hash", "position", "reason"}
IN_COLUMN = {("in-clean", "delivery_note"): "in-note", ("in-quarantine", "reason"): "in-reason"}


def _parts_of_names(story: Story) -> None:
    """A part of the buyer's own name in a note: "WÓJCIK" on the bell."""
    buyers = {row["order_id"]: row["buyer_name"] for row in scenario.people([*story.days, story.corrected])}
    for layer, misconception in (("clean", "in-note"), ("quarantine", "in-quarantine")):
        for snapshot in story.snapshots.keys() & {"both", "again"}:
            for row in story.table(snapshot, layer).rows:
                name, note = (set(re.findall(r"\w{3,}", scenario.folded(str(text)))) for text in (buyers.get(id_of(row), ""), row.get("delivery_note")))  # fmt: skip
                if name & note:
                    raise _found("a part of a name", f"column delivery_note in {layer}", misconception)


def _tried(story: Story, places: list[Place]) -> None:
    """Whether something that was made of an address or a name is found by trying. buyer_hash has an expectation of its own."""
    guesses = _guesses(story)
    for place in places:
        words = (
            re.findall(r"[A-Za-z0-9+/=_-]{14,}", place.text) if "column buyer_hash in clean" not in place.shown else []
        )
        if how := next(
            (guesses[word[:GUESSED].casefold()] for word in words if word[:GUESSED].casefold() in guesses), ""
        ):
            raise Miss(
                "Something that was made of an address or a name can be undone by trying: who has a list of addresses makes the same of each, and compares.",
                tried="make it of every address and name", got=f"{how}, in {place.shown}", wanted="only the company's hash", name="guessable",
            )  # fmt: skip


def _guesses(story: Story) -> dict[str, str]:
    """What anybody can compute who has a list of addresses and names: the first GUESSED letters of it, and how it is made."""
    found: dict[str, str] = {}
    for row in scenario.people([*story.days, story.corrected]):
        email = row["buyer_email"] or ""
        for text in {email, email.strip(), email.lower(), scenario.normal(email), row["buyer_name"]} - {""}:
            raw = text.encode()
            made = {f"the {name} of it": hashlib.new(name, raw).hexdigest() for name in ALGORITHMS}
            made |= {
                f"the HMAC of it with {what}": hmac.new(key, raw, "sha256").hexdigest()
                for key, what in KNOWN_KEYS.items()
            }
            made |= {
                "it in base64, which is no hash": base64.b64encode(raw).decode(),
                "it in hexadecimal, which is no hash": raw.hex(),
            }
            found |= {word[:GUESSED].casefold(): how for how, word in made.items()}
    return found


ALGORITHMS = ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b")
KNOWN_KEYS = {b"": "an empty key", scenario.EXAMPLE_KEY.encode(): "the key of the example", b"pepper": "the key “pepper”", b"secret": "the key “secret”"}  # fmt: skip
GUESSED = 14
"""So many letters are compared: a hash that was cut is guessed as well as a whole one."""


# ---- hashes ---------------------------------------------------------------------------------------------------------------


RIGHT = "HMAC-SHA256 with the key of ~/secrets/pepper"


def compare(story: Story, own_key: str) -> None:
    """Raises Miss where buyer_hash is not that of the company. own_key: that of the learner's desk, which is another one here."""
    wanted = scenario.newest(story.days)
    people = [(row.get("buyer_hash"), wanted[id_of(row)]["buyer_email"]) for row in story.table("both", "clean").rows if id_of(row) in wanted]  # fmt: skip
    known = [(given, email) for given, email in people if scenario.normal(email)]
    if all(given is None for given, _ in known):
        raise _hash("There is no buyer_hash in clean, so nothing can be joined.", "no buyer_hash", "no-hash")
    if any(given is not None for given, email in people if not scenario.normal(email)):
        raise _hash(
            "Orders without an address have a hash, too: that of nothing. All these buyers become one, the best customer of the company.",
            "a hash where there is no address", "hash-of-nothing", "NULL",
        )  # fmt: skip
    if wrong := [(given, email) for given, email in known if given != scenario.buyer_hash(story.pepper, email)]:
        # An address that is written as it is hashed says most about the way it is made.
        given, email = min(wrong, key=lambda pair: pair[1] != scenario.normal(pair[1]))
        raise _why(story, str(given), email, known, own_key)


def _hash(say: str, got: str, name: str, wanted: str = RIGHT) -> Miss:
    return Miss(say, tried=f"{RUN}; compare buyer_hash with the hash of the address", got=got, wanted=wanted, name=name)


def _why(story: Story, given: str, email: str, known: list[tuple[Any, str]], own_key: str) -> Miss:
    """Why a hash is not that of the company."""
    key, plain = story.pepper.encode(), scenario.normal(email)

    def made(key: bytes, text: str) -> str:
        return hmac.new(key, text.encode(), "sha256").hexdigest()

    if given in {made(key, text) for text in (email, email.strip(), email.lower())}:
        return _hash(
            "Somebody who writes their address in capitals, or with a blank, becomes another person. Strip it and make it lower case before it is hashed.",
            "the hash of the address as it was written", "not-normalised", "the same hash for every spelling",
        )  # fmt: skip
    if how := _guesses(story).get(given[:GUESSED].casefold()):
        return _hash(
            "The hash can be guessed: there are only so many addresses, and who has a list makes the same of each, and compares. It takes a key that nobody else has.",
            f"{how}: found by trying", "guessable",
        )  # fmt: skip
    if len(set(known)) > len({address for _, address in known}):
        return _hash(
            "The same address has different hashes: the salt is another one each time. So nobody can guess it, and nobody can join by it either. The key is the company's, and the same for all.",
            "two hashes of one address", "salted", "the same hash each time",
        )  # fmt: skip
    if given == made(own_key.encode(), plain):
        return _hash(
            "The key of your desk stands in the script. In another place there is another one: read it from ~/secrets/pepper, and keep keys out of code.",
            "HMAC with the key of your desk", "key-in-script",
        )  # fmt: skip
    if given in {made(key + end, plain) for end in (b"\n", b"\r\n")}:
        return _hash("The end of the line was taken for a part of the key. Strip what you read from the file.", "HMAC with the key and a line end", "line-end-in-key")  # fmt: skip
    if given in {hashlib.sha256(text).hexdigest() for text in (key + plain.encode(), plain.encode() + key)}:
        return _hash("That is a SHA-256 over key and address, one behind the other. HMAC is made in another way, and it is HMAC that the company joins by.", "sha256(key + address)", "not-hmac")  # fmt: skip
    return _hash("buyer_hash is not that of the company. Try yours with the example in the rules.", f"another one, {len(given)} characters long", "another-hash", f"{RIGHT}, 64 small letters and digits")  # fmt: skip
