"""The store: PostgreSQL 15 or later, through psycopg."""
