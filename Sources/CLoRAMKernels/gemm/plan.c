// How a product is cut into blocks and tasks.
#include "product.h"

enum {
    /// Tasks a worker, so that none is idle for long at the end of a product; more than MOST_TASKS are not made for that. One alone has as
    /// many as let it look after other things between them.
    TASKS_PER_WORKER = 8,
    TASKS_ALONE = 4,
    MOST_TASKS = 64,
    /// More rows than this in one task gain nothing: packing a block of B costs half a percent of using it.
    LONGEST_TASK_ROWS = 2048,
    /// With fewer columns than these a task spends too much on reading A again, even where threads are idle.
    NARROWEST_TASK = 64,
};

loram_plan loram_make_plan(const loram_engine *engine, long m, long n, long k, int workers) {
    loram_plan plan;
    long chunks = loram_ceil(m, LORAM_LONGEST_CHUNK);
    plan.chunk = loram_ceil(m, chunks);
    long panels = loram_ceil(plan.chunk, engine->tile_rows);
    plan.panel_rows = loram_ceil(plan.chunk, panels);
    plan.blocks = loram_ceil(k, engine->depth);
    plan.block_depth = plan.blocks == 0 ? 0 : loram_round_up(loram_ceil(k, plan.blocks), LORAM_DEPTH_STEP);
    if (plan.block_depth) plan.blocks = loram_ceil(k, plan.block_depth);

    // What follows moves work between tasks, and no bit.
    const long wanted = workers == 1 ? TASKS_ALONE : loram_min((long)workers * TASKS_PER_WORKER, MOST_TASKS), needed = loram_min(wanted, MOST_TASKS / 4);
    long rows = loram_min(plan.chunk, LONGEST_TASK_ROWS), columns = loram_min(loram_round_up(n, engine->tile_columns), engine->width);
    while (rows >= 2 * engine->task_rows && loram_ceil(plan.chunk, rows) * loram_ceil(n, columns) < wanted) rows = loram_ceil(rows, 2);
    while (columns >= 2 * engine->task_columns && loram_ceil(plan.chunk, rows) * loram_ceil(n, columns) < wanted) columns = loram_round_up(columns / 2, engine->tile_columns);
    while (columns >= 2 * NARROWEST_TASK && loram_ceil(plan.chunk, rows) * loram_ceil(n, columns) < needed) columns = loram_round_up(columns / 2, engine->tile_columns);
    long row_tasks = loram_ceil(plan.chunk, rows);
    plan.task_panels = loram_ceil(loram_ceil(plan.chunk, plan.panel_rows), row_tasks);
    plan.task_columns = columns;
    return plan;
}
