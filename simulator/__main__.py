"""`python -m simulator run`: the practice internet on its own."""

from simulator.cli import app

app(prog_name="simulator")
