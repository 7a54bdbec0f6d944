/* src/cli/suggest.h: the word that was probably meant by one that is not known. */
#pragma once
#include <stddef.h>

struct suggestion {
    const char *typed;
    size_t size;      /* Of 'typed', which need not end there. */
    const char *word; /* The nearest considered so far; NULL: none is near. */
    unsigned slips;   /* Of the fingers, from one to the other. */
};

/* Hold 'candidate' against what was typed. Near is what one slip in three characters explains: a
 * letter too many, missing, wrong, or two that changed places. */
void suggestion_consider(struct suggestion *s, const char *candidate);
