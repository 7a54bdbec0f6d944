/* fuzz/replay.c: a main() for a fuzz target without a fuzzer: run its function on every file named,
 * and on every file of every directory named. A sanitizer or a CHECK stops the program when one
 * goes wrong.
 *
 * A directory that doesn't exist is fine: there is no regression yet. One that is empty is a
 * mistake: it would pass by testing nothing. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_SIZE = 4096, INPUT_SIZE_MAX = 16 << 20 };

/* The bytes are on the heap and exactly as many as the file has, so that reading behind them shows.
 * */
static int run_bytes(FILE *file, const char *path)
{
    static uint8_t read[INPUT_SIZE_MAX];
    size_t size = fread(read, 1, sizeof read, file);
    uint8_t *exact = malloc(size + 1);
    if (exact == NULL || ferror(file)) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        free(exact);
        return 1;
    }
    memcpy(exact + 1, read, size);
    (void)LLVMFuzzerTestOneInput(exact + 1, size);
    free(exact);
    return 0;
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    int rc = run_bytes(file, path);
    (void)fclose(file);
    return rc;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Adds to '*count' how many were run. */
static int run_directory(const char *path, int *count)
{
    struct dirent **entries = NULL;
    int found = scandir(path, &entries, is_visible, alphasort);
    if (found < 0 && errno == ENOENT) return 0;
    if (found <= 0) {
        (void)fprintf(stderr, "%s: %s\n", path, found == 0 ? "is empty" : strerror(errno));
        free(entries);
        return 1;
    }
    int rc = 0;
    for (int i = 0; i < found; i++) {
        char file[PATH_SIZE];
        (void)snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        rc |= run_file(file);
        free(entries[i]);
    }
    free(entries);
    *count += found;
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0, count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (directory != NULL) (void)closedir(directory);
        if (directory == NULL && errno == ENOTDIR) {
            rc |= run_file(argv[i]);
            count++;
        } else {
            rc |= run_directory(argv[i], &count);
        }
    }
    (void)printf("%d inputs\n", count);
    return rc;
}
