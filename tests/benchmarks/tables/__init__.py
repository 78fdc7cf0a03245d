"""One module for each part of the report: ``section(quick)`` measures and returns it."""
