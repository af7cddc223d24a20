"""How long a call waits for others, whatever it waits for: a lock, the store, somebody's program.

As long as a launcher waits for its answer (30 s, `reply_ms`), less what it takes to undo and to say
so. Who gave up sooner would fail where there is only much to do; later, nobody would hear it.
"""

SECONDS = 25.0
