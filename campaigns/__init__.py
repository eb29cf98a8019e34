"""Campaigns: one mail to many people, with one row and one outcome for each person.

`states` says what may happen; `audience` fixes who is written to, `feed` puts their mail into the queue, `settle`
brings back what became of it. A campaign is finished when no row is open, which is asked of the rows and of nothing
else.
"""
