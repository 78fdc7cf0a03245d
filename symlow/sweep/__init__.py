"""Sweeps: many histories of learning, along axes of initial overlaps, parameters and seeds, as one labelled result.

    specification -> histories -> tasks -> (workers) -> parts -> store

    result          the whole result, opened: labelled arrays
    axes            what is varied, and over which values
    specification   SWEEP.toml
    histories       the table of histories, and where each starts
    identity        what a result belongs to
    task            some histories, advanced together
    parts           results of tasks on disk, while a sweep runs
    store           the whole result, written
    pool            workers: processes of this machine, or a Dask cluster
    run             a sweep from beginning to end

Each module reads those before it.
"""
