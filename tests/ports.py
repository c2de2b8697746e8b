"""Ports for tests: free ones on the loopback address.

Prefer port 0 where the code under test can say which port it got.
"""

from benchmarks.ports import free_port as free_port
