"""The numbers of the queue that are the same for every type of job.

Pure.
"""

from brama.job_terms import MAX_PRIORITY as MAX_PRIORITY

#: How long a worker holds a job without renewing; a job of a killed worker is free after that.
LOCK_S = 10.0
#: Between two looks for jobs whose lock has run out. A job is resumed after LOCK_S plus at most two of these.
STALLED_CHECK_S = 5.0
#: How long an idle worker waits before it looks again by itself: a queue whose concurrency is capped, or
#: whose rate is limited, wakes nobody when it is free again.
IDLE_WAIT_S = 1.0
#: The longest wait for the next delayed job; BullMQ's own limit.
LONGEST_WAIT_S = 10.0

#: Finished jobs that stay in the engine: whichever of the two comes first.
COMPLETED_KEPT = 1000
COMPLETED_KEPT_S = 3600
FAILED_KEPT = 5000
FAILED_KEPT_S = 7 * 86400
#: Lines of ``JobContext.log`` kept for each job, the oldest going first.
LOG_LINES_KEPT = 1000

#: Share of the server's memory above which producers stop adding. Workers need room: with the memory full the
#: server refuses even the command that takes a job, and nothing would ever drain.
FULL_SHARE = 0.8
