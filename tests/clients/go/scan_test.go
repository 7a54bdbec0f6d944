// scan_test.go: the Go client's scanners: of one hash key, of a table, in small batches, with filters,
// closed early, and told of contexts that are gone.
package clients

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/apache/incubator-pegasus/go-client/pegasus"
)

func drain(t *testing.T, scanner pegasus.Scanner) []string {
	t.Helper()
	var rows []string
	for {
		isDone, hash, sort, value, err := scanner.Next(soon())
		must(t, err)
		if isDone {
			must(t, scanner.Close())
			return rows
		}
		rows = append(rows, fmt.Sprintf("%s/%s=%s", hash, sort, value))
	}
}

func hashScan(t *testing.T, table pegasus.TableConnector, start, stop string,
	options *pegasus.ScannerOptions) string {
	t.Helper()
	scanner, err := table.GetScanner(soon(), b("h"), b(start), b(stop), options)
	must(t, err)
	return strings.Join(drain(t, scanner), " ")
}

func TestHashScan(t *testing.T) {
	table := newTable(t)
	fill(t, table, "g", "x")
	fill(t, table, "h", "a", "ab", "b", "c")
	fill(t, table, "h2", "x")
	fill(t, table, "i", "x")
	all := "h/a=v-a h/ab=v-ab h/b=v-b h/c=v-c"
	for _, batch := range []int{1, 2, 3, 4, 5, 1000} {
		options := pegasus.NewScanOptions()
		options.BatchSize = batch
		equal(t, hashScan(t, table, "", "", options), all)
	}
	for i, c := range []struct {
		start, stop     string
		withStart, with bool
		want            string
	}{
		{"ab", "c", true, false, "h/ab=v-ab h/b=v-b"},
		{"ab", "c", false, true, "h/b=v-b h/c=v-c"},
		{"b", "b", true, true, "h/b=v-b"},
		{"bb", "", true, false, "h/c=v-c"},
	} {
		options := pegasus.NewScanOptions()
		options.StartInclusive, options.StopInclusive = c.withStart, c.with
		if got := hashScan(t, table, c.start, c.stop, options); got != c.want {
			t.Fatalf("case %d: %q, not %q", i, got, c.want)
		}
	}
}

func TestScanFilters(t *testing.T) {
	table := newTable(t)
	fill(t, table, "h", "a", "ab", "abc", "b", "bc")
	for i, c := range []struct {
		kind          pegasus.FilterType
		pattern, want string
	}{
		{pegasus.FilterTypeMatchPrefix, "ab", "h/ab=v-ab h/abc=v-abc"},
		{pegasus.FilterTypeMatchPostfix, "c", "h/abc=v-abc h/bc=v-bc"},
		{pegasus.FilterTypeMatchAnywhere, "b", "h/ab=v-ab h/abc=v-abc h/b=v-b h/bc=v-bc"},
		{pegasus.FilterTypeMatchAnywhere, "x", ""},
	} {
		options := pegasus.NewScanOptions()
		options.BatchSize = 2
		options.SortKeyFilter = pegasus.Filter{Type: c.kind, Pattern: b(c.pattern)}
		if got := hashScan(t, table, "", "", options); got != c.want {
			t.Fatalf("case %d: %q, not %q", i, got, c.want)
		}
	}
}

func TestScanNoValue(t *testing.T) {
	table := newTable(t)
	fill(t, table, "h", "a", "b")
	options := pegasus.NewScanOptions()
	options.NoValue = true
	equal(t, hashScan(t, table, "", "", options), "h/a= h/b=")
}

// All of a table, by any number of scanners, in any batches: each record once.
func TestFullScan(t *testing.T) {
	table := newTable(t)
	var want []string
	for i := 0; i < 300; i++ {
		hash, sort := fmt.Sprint("hash", i%37), fmt.Sprint("sort", i)
		must(t, table.Set(soon(), b(hash), b(sort), b(fmt.Sprint(i))))
		want = append(want, fmt.Sprintf("%s/%s=%d", hash, sort, i))
	}
	sort.Strings(want)
	for _, c := range []struct{ split, batch, count int }{{1, 1000, 1}, {2, 7, 2}, {4, 1, 4}, {100, 50, 4}} {
		options := pegasus.NewScanOptions()
		options.BatchSize = c.batch
		scanners, err := table.GetUnorderedScanners(soon(), c.split, options)
		must(t, err)
		equal(t, len(scanners), c.count)
		var rows []string
		for _, scanner := range scanners {
			rows = append(rows, drain(t, scanner)...)
		}
		sort.Strings(rows)
		equal(t, rows, want)
	}
}

func TestFullScanFilters(t *testing.T) {
	table := newTable(t)
	for _, hash := range []string{"aa", "ab", "bb"} {
		fill(t, table, hash, "1", "2", "31")
	}
	options := pegasus.NewScanOptions()
	options.HashKeyFilter = pegasus.Filter{Type: pegasus.FilterTypeMatchPrefix, Pattern: b("a")}
	options.SortKeyFilter = pegasus.Filter{Type: pegasus.FilterTypeMatchPostfix, Pattern: b("1")}
	options.BatchSize = 1
	scanners, err := table.GetUnorderedScanners(soon(), 1, options)
	must(t, err)
	rows := drain(t, scanners[0])
	sort.Strings(rows)
	equal(t, rows, []string{"aa/1=v-1", "aa/31=v-31", "ab/1=v-1", "ab/31=v-31"})
}

func TestScanOfNothing(t *testing.T) {
	table := newTable(t)
	equal(t, hashScan(t, table, "", "", pegasus.NewScanOptions()), "")
	scanners, err := table.GetUnorderedScanners(soon(), 4, pegasus.NewScanOptions())
	must(t, err)
	for _, scanner := range scanners {
		equal(t, len(drain(t, scanner)), 0)
	}
}

// A scan sees the table as it was when it began, while its context lives.
func TestScanIsASnapshot(t *testing.T) {
	table := newTable(t)
	fill(t, table, "h", "a", "b", "c")
	options := pegasus.NewScanOptions()
	options.BatchSize = 1
	scanner, err := table.GetScanner(soon(), b("h"), nil, nil, options)
	must(t, err)
	_, _, first, _, err := scanner.Next(soon())
	must(t, err)
	equal(t, first, b("a"))
	must(t, table.Del(soon(), b("h"), b("b")))
	fill(t, table, "h", "bb")
	equal(t, strings.Join(drain(t, scanner), " "), "h/b=v-b h/c=v-c")
}

// A scanner closed in the middle waits a moment for a reply that no server sends, and says so; the
// session is as good as before. A reply would have broken it: this client has no name for one.
func TestScannerClosedEarly(t *testing.T) {
	table := newTable(t)
	fill(t, table, "h", "a", "b", "c")
	options := pegasus.NewScanOptions()
	options.BatchSize = 1
	for i := 0; i < 3; i++ {
		scanner, err := table.GetScanner(soon(), b("h"), nil, nil, options)
		must(t, err)
		_, _, _, _, err = scanner.Next(soon())
		must(t, err)
		if err = scanner.Close(); err == nil || !strings.Contains(err.Error(), "deadline") {
			t.Fatalf("closing was answered: %v", err)
		}
		value, err := table.Get(within(2*time.Second), b("h"), b("a"))
		must(t, err)
		equal(t, value, b("v-a"))
	}
}
