#!/bin/bash
# tools/layering.sh [BUILD]: do the arrows between the rooms still point one way?
#
# Three questions, each asked of the tree as it is:
#     1. does a file include a header of a room that its own room may not know?
#     2. does it include a header of the operating system or of a library outside the room made for it?
#     3. does an archive of a pure room, or of one that the simulator runs, ask the linker for more
#        than it should? (Asked of BUILD, when it was built.)
# Prints every offender and fails; says nothing much when all is well. docs/ARCHITECTURE.md draws it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=${1:-build}
offences=$(mktemp) || exit 1
trap 'rm -f "$offences"' EXIT

# path | rooms it may include besides itself | headers in <> besides the plain ones of C
#
# The longest path that a file's name begins with is its row. A room in the list means all below it:
# 'core' is every protocol; but a protocol's own row lets it know no other. 'any' is any.
rows='
src/base             |                                      | pthread.h isa-l
src/wire             | base                                 |
src/core             | base wire                            |
src/obs              | base                                 | pthread.h time.h fcntl.h unistd.h
src/io/io.h          | base                                 |
src/io               | base                                 | any
src/store/store.h    | base                                 |
src/store            | base wire                            | rocksdb dirent.h pthread.h time.h unistd.h
src/group/group.h    | base io/io.h                         |
src/group            | base io                              | raft.h raft
src/http             | base obs io/io.h                     | microhttpd.h netinet unistd.h sys
src/kv               | base wire store/store.h              |
src/log              | base wire core/mlog io/io.h          |
src/rpc              | base wire core/route io/io.h         |
src/node             | base wire core kv log rpc obs http io/io.h store/store.h group/group.h | ini.h time.h
src/node/main.c      | base io obs http                       | any
src/client           | base wire core/route rpc io/io.h     | pthread.h
src/client/pirene.c  | base wire core/route rpc io          | pthread.h
src/cli              | base wire core/route rpc client io obs | any
include              |                                      |
sim/sim.h            | base io/io.h                         |
sim/io               | base io/io.h sim/sim.h               | math.h setjmp.h
sim/store            | base store io/io.h sim/sim.h         |
sim/group            | base io/io.h group/group.h sim/sim.h sim/io |
sim/check            | base wire                            |
sim                  | any                                  | any
fuzz                 | any                                  | any
'

# Headers of C itself that anybody may include: none of them reads a clock, a file or a socket.
# (<stdio.h> is for snprintf, <stdlib.h> for malloc: question 3 watches what is called.)
plain="assert.h ctype.h errno.h inttypes.h limits.h stdalign.h stdarg.h stdatomic.h stdbool.h
       stddef.h stdint.h stdio.h stdlib.h string.h"

# ---- 1 and 2: what is included ---------------------------------------------------------------------

find src sim fuzz include -name '*.[ch]' -print0 | sort -z |
    xargs -0 grep -HnE '^[[:space:]]*#[[:space:]]*include' |
    awk -v rows="$rows" -v plain="$plain" '
    BEGIN {
        n = split(rows, line, "\n")
        for (i = 1; i <= n; i++) {
            if (split(line[i], cell, "|") < 3) continue
            path = cell[1]; gsub(/ /, "", path)
            rooms[path] = cell[2]; outside[path] = cell[3]
        }
        n = split(plain, word)
        for (i = 1; i <= n; i++) is_plain[word[i]] = 1
    }
    # Is "name" what "allowed" says, or below it?
    function below(name, allowed) {
        return name == allowed || index(name, allowed "/") == 1
    }
    function listed(name, list,    w, i, n) {
        n = split(list, w)
        for (i = 1; i <= n; i++) if (w[i] == "any" || below(name, w[i])) return 1
        return 0
    }
    function row_of(file,    path, best) {
        best = ""
        for (path in rooms)
            if ((below(file, path)) && length(path) > length(best)) best = path
        return best
    }
    # The directory that a file or a header is in, which is its room: base, core/repl, sim/io.
    function room_of(name) { sub(/^src\//, "", name); sub(/\/[^\/]*$/, "", name); return name }
    {
        file = $0; sub(/:.*/, "", file)
        where = $0; sub(/:[[:space:]]*#.*/, "", where)
        row = row_of(file)
        if (row == "") { print where ": no row in tools/layering.sh speaks of this file"; next }
        if (match($0, /"[^"]+"/)) {
            header = substr($0, RSTART + 1, RLENGTH - 2)
            if (header !~ /\// || room_of(header) == room_of(file)) next # Its own room, or include/.
            if (header ~ /_impl\.h$/ && row !~ /^sim/) # The simulator looks inside.
                print where ": \"" header "\" is for its own room only"
            else if (!listed(header, rooms[row]))
                print where ": " row " may not know \"" header "\""
        } else if (match($0, /<[^>]+>/)) {
            header = substr($0, RSTART + 1, RLENGTH - 2)
            if (!(header in is_plain) && !listed(header, outside[row]))
                print where ": <" header "> is not for " row
        }
    }' >"$offences"

# ---- 3: what the linker is asked for ---------------------------------------------------------------

# What compilers call by themselves: stack protector, sanitizers, coverage, marks, struct copies.
runtime='^(mem[a-z_]*|str[a-z_]*|__mem[a-z]*_chk|__str[a-z]*_chk|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__asan_.*|__ubsan_.*|__tsan_.*|__sanitizer_.*|__sancov_.*|__start___.*|__stop___.*|__tls_get_addr)$'

# The world, which only reaches the rooms that the simulator runs through the ports.
world='^(time|clock.*|gettimeofday|usleep|nanosleep|sleep|rand|random|srand.*|getrandom|getentropy|open|openat|creat|fopen|read|pread.*|write|pwrite.*|readv|writev|fsync|fdatasync|rename|unlink|mkdir|stat|fstat|socket|bind|listen|accept.*|connect|send.*|recv.*|poll|epoll.*|select|pthread_.*|fork|exec.*|system|getenv|uv_.*|rocksdb_.*|raft_.*)$'

archive() { find "$build" -name "lib$1.a" 2>/dev/null | head -n 1; }

asked_by() { nm -u "$1" 2>/dev/null | awk '$1 == "U" || $1 == "w" { print $2 }' | sort -u; }

given_by() {
    for name in "$@"; do nm --defined-only "$(archive "$name")" 2>/dev/null; done |
        awk 'NF == 3 { print $3 }' | sort -u
}

# pure ARCHIVE OTHER...: asks only for what it and the others define, and for the runtime.
pure() {
    local name=$1 file
    file=$(archive "$name")
    [ -n "$file" ] || { echo "lib$name.a: not built, so not looked at"; return; }
    comm -23 <(asked_by "$file") <(given_by "$@") | grep -vE "$runtime" |
        sed "s/^/lib$name.a: pure, but asks for /" >>"$offences"
}

# simulated ARCHIVE: doesn't ask for the world by name.
simulated() {
    local file
    file=$(archive "$1")
    [ -n "$file" ] || { echo "lib$1.a: not built, so not looked at"; return; }
    asked_by "$file" | grep -E "$world" |
        sed "s/^/lib$1.a: runs in the simulator, but asks for /" >>"$offences"
}

if [ -d "$build" ]; then
    pure wire base
    for file in "$build"/src/core/*/lib*.a; do
        [ -f "$file" ] && pure "$(basename "$file" .a | sed 's/^lib//')" wire base
    done
    for name in kv log rpc node; do simulated "$name"; done
else
    echo "$build/ is not there: only the includes were looked at"
fi

if [ -s "$offences" ]; then
    cat "$offences"
    echo "layering: $(wc -l <"$offences") arrows point the wrong way"
    exit 1
fi
echo "layering: every arrow points the right way"
