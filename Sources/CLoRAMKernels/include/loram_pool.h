// A pool of threads that runs numbered tasks. The caller takes part; nothing is allocated per run.
#ifndef LORAM_POOL_H
#define LORAM_POOL_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct loram_pool loram_pool;

/// One task: `index` of 0 ..< count, run by `worker` of 0 ..< threads (0 is the caller of loram_pool_run).
typedef void (*loram_task)(void *context, long index, int worker);

/// Called by the main thread between its tasks and while it waits, so that message passing moves on during compute.
typedef void (*loram_poll)(void *context);

/// threads >= 1 counts the caller. spin_count is how often an idle worker looks for work before it sleeps: 0 where
/// threads outnumber processors. NULL when threads cannot be created.
loram_pool *loram_pool_create(int threads, int spin_count);
void loram_pool_destroy(loram_pool *pool);
void loram_pool_set_poll(loram_pool *pool, loram_poll poll, void *context);

/// Runs task(context, i, worker) for every i in 0 ..< count (below 2^32 - 1), in any order, and returns when all are done.
/// Only the thread that created the pool may call this, never from within a task.
void loram_pool_run(void *pool, long count, loram_task task, void *context);

#ifdef __cplusplus
}
#endif
#endif
