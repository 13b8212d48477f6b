"""The database: the only truth.  Sole importer of SQLAlchemy."""
