"""Scenarios: what lies on the desk at the start of each module, made from a seed.

Each module of this package has one function, `build(home, seed, twists, **size)`: it writes the module's files into
`home`, the same bytes for the same seed on any machine. Twists are named difficulties that hidden worlds add; TWISTS has those
that the module knows, each with a few words on what it does. One is no difficulty: with "lesson" the course makes a lesson's desk.
"""
