/* Predictions of a forest of regression trees: the sum of the leaves that a row falls into.

   No doubles are compared while trees are walked. All distinct thresholds of a feature, in order, number its
   values: the code of a value is how many thresholds lie below it, so `value <= thresholds[k]` is
   `code <= k`, exactly. Each feature has two columns of codes, which differ for what is missing (NaN): it is
   0 for splits where it goes left, and above every threshold for those where it goes right.

   A node is 8 bytes, so that a forest stays in the cache: go to `child` when the row's code in `column` is at
   most `code`, else to `child + 1`. A leaf's child is itself, and its code is the largest there is; so nothing
   branches on whether a row has arrived, and a row walks on the spot until its neighbours have. Children lie
   behind their parents (serving/trees/forest.py makes sure), so each walk ends.

   A walk is one long chain of loads. Several at once hide their latency: of many rows through one tree, or of
   one row through many trees. Both add the leaves in the order of the trees, so both give the same bits. */

#include <stdint.h>

typedef struct {
    uint16_t column, code;
    uint32_t child;
} Node;

typedef struct {
    int64_t features, trees;
    const int64_t *starts;    /* of each feature's thresholds, and the end of the last one's */
    const double *thresholds; /* ascending for each feature */
    const uint32_t *roots;
    const Node *nodes;
    const double *values; /* of nodes; only those of leaves mean something */
    double base;          /* what the leaves are added to */
} Forest;

enum {
    CODES = 1 << 16, /* one row of as many columns as a node can name, or many of fewer */
    CHUNK = 96,      /* rows that take turns at a tree while it is in the first cache */
    ROWS = 8,        /* that walk at once: as many as registers can hold */
    TREES = 10,      /* the same for one row; more, for trees are further away than codes */
    STEPS = 3        /* up to each look at whether all have arrived */
};

static void encode(const Forest *forest, const double *rows, int64_t count, uint16_t *codes) {
    const int64_t features = forest->features;
    for (int64_t feature = 0; feature < features; feature++) {
        const double *thresholds = forest->thresholds + forest->starts[feature];
        const int64_t all = forest->starts[feature + 1] - forest->starts[feature];
        for (int64_t row = 0; row < count; row++) {
            const double value = rows[row * features + feature];
            const double *from = thresholds;
            for (int64_t left = all, half; left > 0; left -= half) {
                half = (left + 1) / 2;
                /* Nobody can guess how it turns out: a jump here would double the time. */
                from = __builtin_unpredictable(from[half - 1] < value) ? from + half : from;
            }
            uint16_t *pair = codes + 2 * (row * features + feature);
            pair[0] = (uint16_t)(from - thresholds);
            pair[1] = value == value ? pair[0] : (uint16_t)all;
        }
    }
}

static inline uint32_t step(const Node *nodes, const uint16_t *codes, uint32_t at) {
    const Node node = nodes[at];
    return node.child + (codes[node.column] > node.code);
}

/* Let `count` walks go on from the nodes `at`, each by its own row of codes, `width` apart, until all are at
   leaves. Inlined, with a count that is known, `at` lies in registers. */
__attribute__((always_inline)) static inline void walk(const Node *nodes, const uint16_t *codes,
                                                       int64_t width, uint32_t *at, const int count) {
    uint32_t moved;
    do {
        for (int level = 1; level < STEPS; level++)
            for (int k = 0; k < count; k++) at[k] = step(nodes, codes + k * width, at[k]);
        moved = 0;
        for (int k = 0; k < count; k++) {
            const uint32_t next = step(nodes, codes + k * width, at[k]);
            moved |= next ^ at[k];
            at[k] = next;
        }
    } while (moved);
}

/* The prediction for one row of codes. */
static double through_all(const Forest *forest, const uint16_t *codes) {
    double sum = forest->base;
    int64_t tree = 0;
    for (; tree + TREES <= forest->trees; tree += TREES) {
        uint32_t at[TREES];
        for (int k = 0; k < TREES; k++) at[k] = forest->roots[tree + k];
        walk(forest->nodes, codes, 0, at, TREES);
        for (int k = 0; k < TREES; k++) sum += forest->values[at[k]];
    }
    for (; tree < forest->trees; tree++) {
        uint32_t at = forest->roots[tree];
        walk(forest->nodes, codes, 0, &at, 1);
        sum += forest->values[at];
    }
    return sum;
}

/* The prediction for one row of doubles. */
double one(const Forest *forest, const double *row) {
    uint16_t codes[CODES];
    encode(forest, row, 1, codes);
    return through_all(forest, codes);
}

/* The predictions for `count` rows of doubles, one behind the other. */
void many(const Forest *forest, const double *rows, int64_t count, double *sums) {
    uint16_t codes[CODES];
    const Node *nodes = forest->nodes;
    const double *values = forest->values;
    const int64_t width = 2 * forest->features, room = CODES / width;
    for (int64_t size; count > 0; rows += size * forest->features, sums += size, count -= size) {
        size = count < CHUNK ? count : CHUNK;
        size = size < room ? size : room;
        encode(forest, rows, size, codes);
        const int64_t grouped = size / ROWS * ROWS;
        for (int64_t row = 0; row < grouped; row++) sums[row] = forest->base;
        for (int64_t tree = 0; tree < forest->trees; tree++)
            for (int64_t row = 0; row < grouped; row += ROWS) {
                uint32_t at[ROWS];
                for (int k = 0; k < ROWS; k++) at[k] = forest->roots[tree];
                walk(nodes, codes + row * width, width, at, ROWS);
                for (int k = 0; k < ROWS; k++) sums[row + k] += values[at[k]];
            }
        for (int64_t row = grouped; row < size; row++) sums[row] = through_all(forest, codes + row * width);
    }
}
