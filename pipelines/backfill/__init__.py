"""`pinrec backfill FROM TO`: a run for every date, in order where order matters and side by side where it does not.

plan.py says which dates and what waits for what, done.py what need not run again, process.py runs one date in a
process of its own, schedule.py all of them; result.py and table.py are what comes of it.
"""
