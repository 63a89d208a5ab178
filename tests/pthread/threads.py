"""A Python with threads: queue, condition, barrier, pool; exit 1 if a sum is wrong."""
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

THREADS, ITEMS = 8, 20000

queue, out, guard = Queue(), [], threading.Lock()


def square():
    while (x := queue.get()) is not None:
        with guard:
            out.append(x * x)


workers = [threading.Thread(target=square) for _ in range(THREADS)]
for w in workers:
    w.start()
for i in range(ITEMS):
    queue.put(i)
for w in workers:
    queue.put(None)
for w in workers:
    w.join()

barrier, condition, turns = threading.Barrier(4), threading.Condition(), [0]


def meet():
    for _ in range(200):
        barrier.wait()
        with condition:
            turns[0] += 1
            condition.notify_all()


meeting = [threading.Thread(target=meet) for _ in range(4)]
for t in meeting:
    t.start()
for t in meeting:
    t.join()
with ThreadPoolExecutor(4) as pool:
    pooled = sum(pool.map(lambda x: 2 * x, range(1000)))
print(len(out), sum(out), turns[0], pooled)
sys.exit(sum(out) != sum(i * i for i in range(ITEMS)) or turns[0] != 800 or pooled != 999000)
