#define _GNU_SOURCE
#include "loram_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__x86_64__)
#define loram_pause() __builtin_ia32_pause()
#else
#define loram_pause() ((void)0)
#endif

// `ticket` holds the run's number in its upper half and the next task's index in its lower one. A task is claimed by a
// compare-and-swap on the whole word, so a late worker can never claim a task of a run that it did not read the
// description of: while the description is being written the index is `closed`.
static const uint64_t closed = 0xffffffffu;

struct loram_pool {
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic long completed;
    _Alignas(64) _Atomic int sleepers;
    _Atomic(loram_task) task;
    _Atomic(void *) context;
    _Atomic long count;
    _Atomic int stopping;
    loram_poll poll;
    void *poll_context;
    int threads;
    int spin_count;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t *handles;
    struct worker *workers;
};

struct worker {
    loram_pool *pool;
    int number;
};

// Claims and runs one task; 0 when there is none to claim now.
static int run_one(loram_pool *pool, int worker) {
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    for (;;) {
        uint64_t index = ticket & 0xffffffffu;
        if (index == closed) return 0;
        loram_task task = atomic_load_explicit(&pool->task, memory_order_relaxed);
        void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
        long count = atomic_load_explicit(&pool->count, memory_order_relaxed);
        if ((long)index >= count) return 0;
        if (atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket + 1, memory_order_acq_rel, memory_order_acquire)) {
            task(context, (long)index, worker);
            atomic_fetch_add_explicit(&pool->completed, 1, memory_order_release);
            return 1;
        }
    }
}

static int work_is_open(loram_pool *pool) {
    uint64_t index = atomic_load_explicit(&pool->ticket, memory_order_acquire) & 0xffffffffu;
    return index != closed && (long)index < atomic_load_explicit(&pool->count, memory_order_relaxed);
}

static void *worker_main(void *argument) {
    struct worker *self = argument;
    loram_pool *pool = self->pool;
    int idle = 0;
    while (!atomic_load_explicit(&pool->stopping, memory_order_acquire)) {
        if (run_one(pool, self->number)) {
            idle = 0;
            continue;
        }
        if (idle++ < pool->spin_count) {
            loram_pause();
            continue;
        }
        pthread_mutex_lock(&pool->mutex);
        atomic_fetch_add(&pool->sleepers, 1);
        while (!work_is_open(pool) && !atomic_load(&pool->stopping)) pthread_cond_wait(&pool->wake, &pool->mutex);
        atomic_fetch_sub(&pool->sleepers, 1);
        pthread_mutex_unlock(&pool->mutex);
        idle = 0;
    }
    return NULL;
}

loram_pool *loram_pool_create(int threads, int spin_count) {
    loram_pool *pool = aligned_alloc(64, (sizeof(loram_pool) + 63) / 64 * 64);
    if (!pool) return NULL;
    *pool = (loram_pool){.threads = threads, .spin_count = spin_count};
    atomic_store(&pool->ticket, closed);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->handles = calloc((size_t)threads, sizeof(pthread_t));
    pool->workers = calloc((size_t)threads, sizeof(struct worker));
    if (!pool->handles || !pool->workers) {
        pool->threads = 1;
        loram_pool_destroy(pool);
        return NULL;
    }
    for (int i = 1; i < threads; i++) {
        pool->workers[i] = (struct worker){pool, i};
        if (pthread_create(&pool->handles[i], NULL, worker_main, &pool->workers[i]) != 0) {
            pool->threads = i;
            loram_pool_destroy(pool);
            return NULL;
        }
    }
    return pool;
}

void loram_pool_destroy(loram_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stopping, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 1; i < pool->threads; i++) pthread_join(pool->handles[i], NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    free(pool->handles);
    free(pool->workers);
    free(pool);
}

void loram_pool_set_poll(loram_pool *pool, loram_poll poll, void *context) {
    pool->poll = poll;
    pool->poll_context = context;
}

void loram_pool_run(void *argument, long count, loram_task task, void *context) {
    loram_pool *pool = argument;
    if (count <= 0) return;
    if (pool->threads == 1 || count == 1) {
        for (long i = 0; i < count; i++) {
            task(context, i, 0);
            if (pool->poll) pool->poll(pool->poll_context);
        }
        return;
    }
    uint64_t run = (atomic_load_explicit(&pool->ticket, memory_order_relaxed) >> 32) + 1;
    atomic_store_explicit(&pool->ticket, run << 32 | closed, memory_order_seq_cst);
    atomic_store_explicit(&pool->task, task, memory_order_relaxed);
    atomic_store_explicit(&pool->context, context, memory_order_relaxed);
    atomic_store_explicit(&pool->count, count, memory_order_relaxed);
    atomic_store_explicit(&pool->completed, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->ticket, run << 32, memory_order_seq_cst);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
    while (run_one(pool, 0)) {
        if (pool->poll) pool->poll(pool->poll_context);
    }
    int idle = 0;
    while (atomic_load_explicit(&pool->completed, memory_order_acquire) < count) {
        if (pool->poll) pool->poll(pool->poll_context);
        if (idle++ < pool->spin_count) loram_pause();
        else sched_yield();
    }
}
