"""The handler that the workers of the pool's tests import."""

import os
import signal
import time


def handle(job: dict) -> dict:
    """The handler that the workers of these tests import."""
    if job["do"] == "add":
        return {"sum": job["a"] + job["b"]}
    if job["do"] == "power":
        return {"digits": len(str(9**9 ** job["n"]))}
    if job["do"] == "memory":
        return {"size": len(bytearray(job["bytes"]))}
    if job["do"] == "pid":
        return {"pid": os.getpid(), "supervisor": os.getppid()}
    if job["do"] == "sleep":
        time.sleep(job["s"])
        return {"slept": job["s"]}
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}
