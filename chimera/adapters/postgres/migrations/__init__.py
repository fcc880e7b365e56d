"""The schema's history: one plain SQL file per change, run in order by Alembic."""
