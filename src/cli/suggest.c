/* src/cli/suggest.c: how many slips lie between two words (optimal string alignment). */
#include "cli/suggest.h"

#include <string.h>

enum { WORD_SIZE_MAX = 31 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned count_slips(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned slips[WORD_SIZE_MAX + 1][WORD_SIZE_MAX + 1]; /* From the first i of a to j of b. */
    for (unsigned i = 0; i <= a_size; i++) {
        for (unsigned j = 0; j <= b_size; j++) {
            slips[i][j] = i + j;
            if (i == 0 || j == 0) continue;
            slips[i][j] = slips[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            slips[i][j] = least(slips[i][j], least(slips[i - 1][j], slips[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                slips[i][j] = least(slips[i][j], slips[i - 2][j - 2] + 1);
        }
    }
    return slips[a_size][b_size];
}

void suggestion_consider(struct suggestion *s, const char *candidate)
{
    size_t size = strlen(candidate);
    if (s->size > WORD_SIZE_MAX || size > WORD_SIZE_MAX) return;
    unsigned slips = count_slips(s->typed, s->size, candidate, size);
    if (slips * 3 > size || (s->word != NULL && slips >= s->slips)) return;
    s->word = candidate;
    s->slips = slips;
}
