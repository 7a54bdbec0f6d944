/* src/http/http.c: a table of pages, and libmicrohttpd. */
#include "http/http.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "obs/version.h"

enum {
    CONNECTIONS_MAX = 64,
    IDLE_SECONDS = 60,
};

struct http {
    struct io *io;
    struct metric_registry *registry;
    struct MHD_Daemon *daemon;
};

/* ---- Pages: path, type, how it is made ------------------------------------------------------------------- */

static void page_index(const struct http *h, struct buf *out);

static void page_metrics(const struct http *h, struct buf *out)
{
    metric_registry_print(h->registry, io_now(h->io), out);
}

static void page_version(const struct http *h, struct buf *out)
{
    (void)h;
    buf_append_str(out, "{\"Version\":\"" PIRENE_VERSION_TEXT
                        "\",\"GitCommit\":\"" PIRENE_COMMIT_TEXT "\"}\n");
}

struct page {
    const char *path, *type, *help;
    void (*make)(const struct http *h, struct buf *out);
};

static const struct page pages[] = {
    {"/", "text/plain; charset=utf-8", "this list", page_index},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", "every figure, for Prometheus",
     page_metrics},
    {"/version", "text/plain", "what runs here", page_version},
};

static void page_index(const struct http *h, struct buf *out)
{
    (void)h;
    buf_append_str(out, "Pirene\n\n");
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        buf_printf(out, "%-12s %s\n", pages[i].path, pages[i].help);
}

static const struct page *page_find(const char *path)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (strcmp(pages[i].path, path) == 0) return &pages[i];
    return NULL;
}

/* ---- Answering --------------------------------------------------------------------------------------------- */

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *type,
                                 const struct buf *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(text->size, text->data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) return MHD_NO; /* libmicrohttpd closes the connection. */
    enum MHD_Result ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (ok == MHD_YES) ok = MHD_queue_response(c, status, response);
    MHD_destroy_response(response);
    return ok;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    const struct http *h = context;
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)state;
    const struct page *page = strcmp(method, "GET") == 0 ? page_find(path) : NULL;
    struct buf text = {0};
    if (page != NULL) page->make(h, &text);
    else buf_printf(&text, "service not found for \"%s\"\n", path[0] == '/' ? path + 1 : path);
    enum MHD_Result ok = text.failed ? MHD_NO
                                     : send_text(c, page != NULL ? MHD_HTTP_OK : MHD_HTTP_NOT_FOUND,
                                                 page != NULL ? page->type : "text/plain", &text);
    buf_fini(&text);
    return ok;
}

/* ---- Life ---------------------------------------------------------------------------------------------------- */

int http_open(struct io *io, struct metric_registry *registry, struct http **out)
{
    struct http *h = mem_zalloc(sizeof *h);
    if (h == NULL) return E_NOMEM;
    h->io = io;
    h->registry = registry;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC;
    h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)IDLE_SECONDS, MHD_OPTION_END);
    if (h->daemon == NULL) {
        mem_free(h);
        return E_IO;
    }
    *out = h;
    return 0;
}

void http_close(struct http *h)
{
    if (h == NULL) return;
    MHD_stop_daemon(h->daemon);
    mem_free(h);
}

void http_serve(struct http *h, int fd)
{
    struct sockaddr_in peer = {.sin_family = AF_INET};
    socklen_t size = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0) {
        (void)close(fd); /* It has gone already. */
        return;
    }
    /* On failure libmicrohttpd has closed the socket. */
    (void)MHD_add_connection(h->daemon, fd, (const struct sockaddr *)&peer, size);
}
