"""Adapters: other people's implementations, declared as subjects."""
