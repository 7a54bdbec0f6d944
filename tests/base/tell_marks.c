/* tests/base/tell_marks.c: in builds with PIRENE_MARKS every story adds the rare situations that it has met
 * to the file that MARKS_MET names, one a line, when it ends. tools/marks.sh reads them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mark.h"

__attribute__((destructor)) static void tell_marks(void)
{
    const char *path = getenv("MARKS_MET");
    FILE *file = path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL) return;
    for (const struct mark *m = mark_next(NULL); m != NULL; m = mark_next(m))
        (void)fprintf(file, "%s\n", m->name);
    (void)fclose(file);
}
