"""Automations: what follows by itself when a person confirms, an application tells of an event, or a day comes.

An automation is a trigger and a few steps. `workflow` reads and writes them, `steering` is the door for people,
`events` the one for applications; `entering` and `events` begin runs, `running` does the steps that are due,
`repeating` makes a campaign for each day of a rule. A run is one person's way through the steps, and keeps those it
began with.
"""
