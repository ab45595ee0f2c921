"""Worlds: the small, disposable company that a module plays in. Each part is usable on its own."""
