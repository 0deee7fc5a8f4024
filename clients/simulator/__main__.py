"""Run the simulator as a process of its own."""

from clients.simulator.command import app

if __name__ == "__main__":
    app(prog_name="python -m clients.simulator")
