"""The practice range: SSH hosts that live in this process, for people who learn, tests and demos.

Nothing is installed and nobody is root: each host is a folder, and what is run on it really runs
on this machine, in a real shell, as the present user.
"""

from wtsflow.lab.hosts import Hosts
from wtsflow.lab.machine import Machine
from wtsflow.lab.papers import Host
from wtsflow.lab.trouble import Trouble

__all__ = ["Host", "Hosts", "Machine", "Trouble"]
