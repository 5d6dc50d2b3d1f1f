"""The papermill driver, the manifest of tables and figures, and the report made from it."""
