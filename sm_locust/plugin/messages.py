"""What master and workers say to each other, besides what Locust has them say: the names of the messages.

A shipment carries the worker and a sequence number and is repeated until the master has acknowledged it, so nothing is
counted twice or lost by a broken connection. Clocks are compared beside it. Who says what is worker_side's and
master_side's, message by message.
"""

from importlib.metadata import version

# Locust hands a message to the listener of its type.
HELLO = "sm_hello"  # worker → master: version; its handlers are registered; Locust itself connects earlier
REFUSED = "sm_refused"  # master → worker: version of the master, which is another one; it ends
RUN = "sm_run"  # master → worker: run_id, the order, when it started on the master's clocks, this worker's index
CANNOT = "sm_cannot"  # worker → master: problem; it drops its share, and says why where somebody looks
SHIP = "sm_ship"  # worker → master: run_id, seq, and what a Shipment has, with its time (`at`)
ACK = "sm_ack"  # master → worker: run_id, seq
CLOCK = "sm_clock"  # worker → master: sent, version; and back: sent, theirs
AGAIN = "sm_again"  # worker → master, and back once it counts with the worker: run_id, which time it could not be heard
DRAIN = "sm_drain"  # master → worker: run_id, patience
DRAINED = "sm_drained"  # worker → master: run_id

ACK_PATIENCE = 5.0  # seconds for the last shipments of a run
VERSION = version("sm-locust")
