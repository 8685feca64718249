"""Schema of the prediction store, version by version; `store.PredictionStore.open` applies them."""

HEAD = "0006"
"""The newest: a database that has it needs no migration, and alembic, which takes longer to load than the database to
answer, is left out. A new version is written here as well."""
