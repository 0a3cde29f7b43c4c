# gearman-worker stream --function reverse -- python3 examples/python/reverse.py
import gearman_stream


def reverse(job):
    if not job.workload:
        raise ValueError("nothing to reverse")
    print("reversing", len(job.workload), "bytes")  # goes to the worker's log
    job.status(1, 2)
    return job.workload[::-1]


gearman_stream.run(reverse)
