// How a product is cut into blocks and tasks.
#include "product.h"

enum {
    /// Fewer tasks than this leave many threads idle at the end of a product; fewer than the second number, even a few threads.
    WANTED_TASKS = 64,
    NEEDED_TASKS = 16,
    /// More rows than this in one task gain nothing: packing a block of B costs under a percent of using it.
    LONGEST_TASK_ROWS = 1024,
    /// With fewer rows or columns than these a task spends too much on packing B, or on reading A again.
    SHORTEST_TASK_ROWS = 512,
    NARROWEST_TASK = 64,
    /// With more columns than these, one reading of A serves more products; but tasks for many threads come first.
    WIDE_TASK = 256,
};

loram_plan loram_make_plan(const loram_engine *engine, long m, long n, long k) {
    loram_plan plan;
    long chunks = loram_ceil(m, LORAM_LONGEST_CHUNK);
    plan.chunk = loram_ceil(m, chunks);
    long panels = loram_ceil(plan.chunk, engine->tile_rows);
    plan.panel_rows = loram_ceil(plan.chunk, panels);
    plan.blocks = loram_ceil(k, engine->depth);
    plan.block_depth = plan.blocks == 0 ? 0 : loram_round_up(loram_ceil(k, plan.blocks), LORAM_DEPTH_STEP);
    if (plan.block_depth) plan.blocks = loram_ceil(k, plan.block_depth);

    long rows = loram_min(plan.chunk, LONGEST_TASK_ROWS), columns = loram_min(loram_round_up(n, engine->tile_columns), engine->width);
    while (rows >= 2 * SHORTEST_TASK_ROWS && loram_ceil(plan.chunk, rows) * loram_ceil(n, columns) < WANTED_TASKS) rows = loram_ceil(rows, 2);
    while (columns >= 2 * WIDE_TASK && loram_ceil(plan.chunk, rows) * loram_ceil(n, columns) < WANTED_TASKS) columns = loram_round_up(columns / 2, engine->tile_columns);
    while (columns >= 2 * NARROWEST_TASK && loram_ceil(plan.chunk, rows) * loram_ceil(n, columns) < NEEDED_TASKS) columns = loram_round_up(columns / 2, engine->tile_columns);
    long row_tasks = loram_ceil(plan.chunk, rows);
    plan.task_panels = loram_ceil(loram_ceil(plan.chunk, plan.panel_rows), row_tasks);
    plan.task_columns = columns;
    return plan;
}
