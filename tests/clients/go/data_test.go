// data_test.go: every operation on records that the Go client offers, scans apart.
package clients

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/incubator-pegasus/go-client/pegasus"
)

// ---- One record -------------------------------------------------------------------------------

func TestGetSetDel(t *testing.T) {
	table := newTable(t)
	value, err := table.Get(soon(), b("h"), b("s"))
	must(t, err)
	if value != nil {
		t.Fatalf("%q out of nothing", value)
	}
	must(t, table.Set(soon(), b("h"), b("s"), b("v1")))
	must(t, table.Set(soon(), b("h"), b("s"), b("v2")))
	value, err = table.Get(soon(), b("h"), b("s"))
	must(t, err)
	equal(t, value, b("v2"))
	must(t, table.Del(soon(), b("h"), b("s")))
	must(t, table.Del(soon(), b("h"), b("s"))) // Of nothing is fine.
	value, err = table.Get(soon(), b("h"), b("s"))
	must(t, err)
	if value != nil {
		t.Fatalf("%q after it was deleted", value)
	}
}

// Every byte may stand in a key; an empty sort key and an empty value are records like others.
func TestAnyBytes(t *testing.T) {
	table := newTable(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	long := bytes.Repeat(b("k"), 60000)
	for i, key := range [][]byte{all, {0}, {0xff}, {0xff, 0xff}, b("\x00\x00"), long} {
		for k, sort := range [][]byte{{}, all, {0}, {0xff, 0xff, 0xff}} {
			want := []byte(fmt.Sprintf("%d/%d", i, k))
			if k == 1 {
				want = []byte{}
			}
			must(t, table.Set(soon(), key, sort, want))
			got, err := table.Get(soon(), key, sort)
			must(t, err)
			if got == nil || !bytes.Equal(got, want) {
				t.Fatalf("key %d, sort key %d: %q, not %q", i, k, got, want)
			}
		}
	}
}

func TestBigValue(t *testing.T) {
	table := newTable(t)
	value := bytes.Repeat(b("v"), 1000*1000)
	must(t, table.Set(soon(), b("h"), b("s"), value))
	got, err := table.Get(soon(), b("h"), b("s"))
	must(t, err)
	if !bytes.Equal(got, value) {
		t.Fatal("not what was written")
	}
}

func TestTTL(t *testing.T) {
	table := newTable(t)
	must(t, table.Set(soon(), b("h"), b("forever"), b("v")))
	must(t, table.SetTTL(soon(), b("h"), b("long"), b("v"), 1000*time.Second))
	must(t, table.SetTTL(soon(), b("h"), b("short"), b("v"), time.Second))
	ttl := func(sort string) int {
		n, err := table.TTL(soon(), b("h"), b(sort))
		must(t, err)
		return n
	}
	equal(t, ttl("forever"), -1)
	equal(t, ttl("absent"), -2)
	if n := ttl("long"); n < 980 || n > 1000 {
		t.Fatalf("ttl %d", n)
	}
	eventually(t, "it expires", func() bool {
		value, err := table.Get(soon(), b("h"), b("short"))
		must(t, err)
		return value == nil
	})
	equal(t, ttl("short"), -2)
	must(t, table.Set(soon(), b("h"), b("long"), b("v"))) // A write without takes it away.
	equal(t, ttl("long"), -1)
}

func TestExist(t *testing.T) {
	table := newTable(t)
	must(t, table.Set(soon(), b("h"), b("s"), b("")))
	for sort, want := range map[string]bool{"s": true, "t": false} {
		got, err := table.Exist(soon(), b("h"), b(sort))
		must(t, err)
		equal(t, got, want)
	}
}

func TestBatchGet(t *testing.T) {
	table := newTable(t)
	var keys []pegasus.CompositeKey
	for i := 0; i < 50; i++ {
		key := pegasus.CompositeKey{HashKey: b(fmt.Sprint("h", i)), SortKey: b("s")}
		keys = append(keys, key)
		if i%5 != 0 {
			must(t, table.Set(soon(), key.HashKey, key.SortKey, b(fmt.Sprint("v", i))))
		}
	}
	values, err := table.BatchGet(soon(), keys)
	must(t, err)
	for i, value := range values {
		if i%5 == 0 && value != nil || i%5 != 0 && string(value) != fmt.Sprint("v", i) {
			t.Fatalf("key %d: %q", i, value)
		}
	}
}

// ---- Several records of one hash key ----------------------------------------------------------

func fill(t *testing.T, table pegasus.TableConnector, hash string, sorts ...string) {
	t.Helper()
	var keys, values [][]byte
	for _, sort := range sorts {
		keys, values = append(keys, b(sort)), append(values, b("v-"+sort))
	}
	must(t, table.MultiSet(soon(), b(hash), keys, values))
}

func render(kvs []*pegasus.KeyValue) string {
	var words []string
	for _, kv := range kvs {
		words = append(words, string(kv.SortKey)+"="+string(kv.Value))
	}
	return strings.Join(words, " ")
}

func TestMultiSetGetDel(t *testing.T) {
	table := newTable(t)
	fill(t, table, "h", "a", "b", "c", "")
	kvs, isAll, err := table.MultiGet(soon(), b("h"), [][]byte{b("c"), b("a"), b("x")})
	must(t, err)
	equal(t, render(kvs), "c=v-c a=v-a") // In the order that was asked for.
	equal(t, isAll, true)
	kvs, isAll, err = table.MultiGet(soon(), b("h"), nil)
	must(t, err)
	equal(t, render(kvs), "=v- a=v-a b=v-b c=v-c")
	equal(t, isAll, true)
	must(t, table.MultiDel(soon(), b("h"), [][]byte{b("a"), b("x"), b("")}))
	kvs, _, err = table.MultiGet(soon(), b("h"), nil)
	must(t, err)
	equal(t, render(kvs), "b=v-b c=v-c")
}

func TestMultiSetTTL(t *testing.T) {
	table := newTable(t)
	must(t, table.MultiSetOpt(soon(), b("h"), [][]byte{b("a"), b("b")}, [][]byte{b("1"), b("2")},
		100*time.Second))
	for _, sort := range []string{"a", "b"} {
		ttl, err := table.TTL(soon(), b("h"), b(sort))
		must(t, err)
		if ttl < 80 || ttl > 100 {
			t.Fatalf("ttl %d", ttl)
		}
	}
}

func TestMultiGetRange(t *testing.T) {
	table := newTable(t)
	fill(t, table, "h", "", "a", "ab", "abc", "b", "bc", "c")
	all := "=v- a=v-a ab=v-ab abc=v-abc b=v-b bc=v-bc c=v-c"
	type options = pegasus.MultiGetOptions
	filter := func(kind pegasus.FilterType, pattern string) pegasus.Filter {
		return pegasus.Filter{Type: kind, Pattern: b(pattern)}
	}
	for i, c := range []struct {
		start, stop string
		options     options
		want        string
		isAll       bool
	}{
		{"", "", options{StartInclusive: true}, all, true},
		{"", "", options{}, strings.TrimPrefix(all, "=v- "), true}, // The empty one is the start.
		{"a", "b", options{StartInclusive: true}, "a=v-a ab=v-ab abc=v-abc", true},
		{"a", "b", options{StopInclusive: true}, "ab=v-ab abc=v-abc b=v-b", true},
		{"b", "a", options{StartInclusive: true, StopInclusive: true}, "", true},
		{"b", "b", options{StartInclusive: true, StopInclusive: true}, "b=v-b", true},
		{"b", "b", options{StartInclusive: true}, "", true},
		{"", "", options{StartInclusive: true, MaxFetchCount: 2}, "=v- a=v-a", false},
		{"", "", options{StartInclusive: true, MaxFetchCount: 2, Reverse: true}, "bc=v-bc c=v-c", false},
		{"", "", options{StartInclusive: true, MaxFetchSize: 1}, "=v-", false},
		{"b", "", options{StartInclusive: true, NoValue: true}, "b= bc= c=", true},
		{"", "", options{StartInclusive: true, SortKeyFilter: filter(pegasus.FilterTypeMatchPrefix, "ab")},
			"ab=v-ab abc=v-abc", true},
		{"", "", options{StartInclusive: true, SortKeyFilter: filter(pegasus.FilterTypeMatchPostfix, "c")},
			"abc=v-abc bc=v-bc c=v-c", true},
		{"", "", options{StartInclusive: true, SortKeyFilter: filter(pegasus.FilterTypeMatchAnywhere, "b")},
			"ab=v-ab abc=v-abc b=v-b bc=v-bc", true},
	} {
		options := c.options
		kvs, isAll, err := table.MultiGetRangeOpt(soon(), b("h"), b(c.start), b(c.stop), &options)
		must(t, err)
		if render(kvs) != c.want || isAll != c.isAll {
			t.Fatalf("case %d: %q %v, not %q %v", i, render(kvs), isAll, c.want, c.isAll)
		}
	}
	kvs, isAll, err := table.MultiGetRange(soon(), b("h"), b("ab"), b("c"))
	must(t, err)
	equal(t, render(kvs), "ab=v-ab abc=v-abc b=v-b bc=v-bc")
	equal(t, isAll, true)
}

// Pages to the end: every record once, "not all" on all pages but the last.
func TestMultiGetPages(t *testing.T) {
	table := newTable(t)
	for i := 0; i < 250; i++ {
		must(t, table.Set(soon(), b("h"), b(fmt.Sprintf("%05d", i)), b("v")))
	}
	seen, start := 0, []byte{}
	options := pegasus.MultiGetOptions{MaxFetchCount: 40, StartInclusive: true}
	for isAll := false; !isAll; options.StartInclusive = false {
		var kvs []*pegasus.KeyValue
		var err error
		kvs, isAll, err = table.MultiGetRangeOpt(soon(), b("h"), start, nil, &options)
		must(t, err)
		for _, kv := range kvs {
			equal(t, kv.SortKey, b(fmt.Sprintf("%05d", seen)))
			seen++
			start = kv.SortKey
		}
	}
	equal(t, seen, 250)
}

func TestSortKeyCount(t *testing.T) {
	table := newTable(t)
	count := func() int64 {
		n, err := table.SortKeyCount(soon(), b("h"))
		must(t, err)
		return n
	}
	equal(t, count(), int64(0))
	fill(t, table, "h", "", "a", "b")
	fill(t, table, "h2", "a")
	equal(t, count(), int64(3))
}

// ---- Decided where the record is --------------------------------------------------------------

func TestIncr(t *testing.T) {
	table := newTable(t)
	for _, c := range []struct{ by, want int64 }{{5, 5}, {-7, -2}, {0, -2}, {1 << 62, 1<<62 - 2}} {
		got, err := table.Incr(soon(), b("h"), b("s"), c.by)
		must(t, err)
		equal(t, got, c.want)
	}
	value, err := table.Get(soon(), b("h"), b("s"))
	must(t, err)
	equal(t, value, b(fmt.Sprint(int64(1<<62-2))))
}

// What cannot be added to is left as it is. (This client hides why behind its own deadline.)
func TestIncrRefused(t *testing.T) {
	table := newTable(t)
	for _, c := range []struct {
		value string
		by    int64
	}{{"not a number", 1}, {"9223372036854775807", 1}, {"-9223372036854775808", -1}, {"1 ", 1}} {
		must(t, table.Set(soon(), b("h"), b("s"), b(c.value)))
		if sum, err := table.Incr(within(200*time.Millisecond), b("h"), b("s"), c.by); err == nil {
			t.Fatalf("%q + %d: %d", c.value, c.by, sum)
		}
		value, err := table.Get(soon(), b("h"), b("s"))
		must(t, err)
		equal(t, value, b(c.value))
	}
}

// Counted by 16 hands at once, nothing is lost and no sum is told twice.
func TestIncrAtOnce(t *testing.T) {
	table := newTable(t)
	sums := make(chan int64, 16*25)
	for w := 0; w < 16; w++ {
		go func() {
			for i := 0; i < 25; i++ {
				n, err := table.Incr(soon(), b("h"), b("s"), 1)
				if err != nil {
					n = -1
				}
				sums <- n
			}
		}()
	}
	seen := map[int64]bool{}
	for i := 0; i < cap(sums); i++ {
		seen[<-sums] = true
	}
	for n := int64(1); n <= 16*25; n++ {
		if !seen[n] {
			t.Fatalf("%d is missing", n)
		}
	}
}

func TestCheckAndSet(t *testing.T) {
	table := newTable(t)
	present, absent := "present", "absent"
	cases := []struct {
		check   pegasus.CheckType
		value   string // Of the checked record; absent: there is none.
		operand string
		passes  bool
	}{
		{pegasus.CheckTypeNoCheck, absent, "", true},
		{pegasus.CheckTypeNoCheck, present, "", true},
		{pegasus.CheckTypeValueNotExist, absent, "", true},
		{pegasus.CheckTypeValueNotExist, "", "", false},
		{pegasus.CheckTypeValueNotExistOrEmpty, absent, "", true},
		{pegasus.CheckTypeValueNotExistOrEmpty, "", "", true},
		{pegasus.CheckTypeValueNotExistOrEmpty, present, "", false},
		{pegasus.CheckTypeValueExist, absent, "", false},
		{pegasus.CheckTypeValueExist, "", "", true},
		{pegasus.CheckTypeValueNotEmpty, "", "", false},
		{pegasus.CheckTypeValueNotEmpty, present, "", true},
		{pegasus.CheckTypeMatchAnywhere, present, "ese", true},
		{pegasus.CheckTypeMatchAnywhere, present, "x", false},
		{pegasus.CheckTypeMatchAnywhere, absent, "", false},
		{pegasus.CheckTypeMatchAnywhere, "", "", true},
		{pegasus.CheckTypeMatchPrefix, present, "pre", true},
		{pegasus.CheckTypeMatchPrefix, present, "ent", false},
		{pegasus.CheckTypeMatchPostfix, present, "ent", true},
		{pegasus.CheckTypeMatchPostfix, present, "pre", false},
		{pegasus.CheckTypeBytesLess, "a", "b", true},
		{pegasus.CheckTypeBytesLess, "b", "b", false},
		{pegasus.CheckTypeBytesLessOrEqual, "b", "b", true},
		{pegasus.CheckTypeBytesLessOrEqual, "ba", "b", false},
		{pegasus.CheckTypeBytesEqual, "b", "b", true},
		{pegasus.CheckTypeBytesEqual, "b", "", false},
		{pegasus.CheckTypeBytesGreaterOrEqual, "b", "b", true},
		{pegasus.CheckTypeBytesGreaterOrEqual, "a\xff", "b", false},
		{pegasus.CheckTypeBytesGreater, "\xff", "b", true},
		{pegasus.CheckTypeBytesGreater, "b", "b", false},
		{pegasus.CheckTypeIntLess, "9", "10", true},
		{pegasus.CheckTypeIntLess, "10", "9", false},
		{pegasus.CheckTypeIntLessOrEqual, "-1", "-1", true},
		{pegasus.CheckTypeIntEqual, "10", "10", true},
		{pegasus.CheckTypeIntEqual, absent, "10", false},
		{pegasus.CheckTypeIntGreaterOrEqual, "10", "9", true},
	}
	for i, c := range cases {
		hash, check, set := b(fmt.Sprint("h", i)), b("check"), b("set")
		if c.value != absent {
			must(t, table.Set(soon(), hash, check, b(c.value)))
		}
		for _, sort := range [][]byte{set, check} { // Another record first, then the one that was checked.
			result, err := table.CheckAndSet(soon(), hash, check, c.check, b(c.operand), sort, b("new"),
				&pegasus.CheckAndSetOptions{ReturnCheckValue: true})
			must(t, err)
			value, err := table.Get(soon(), hash, sort)
			must(t, err)
			if result.SetSucceed != c.passes || (string(value) == "new") != c.passes {
				t.Fatalf("case %d: set %v, now %q", i, result.SetSucceed, value)
			}
			if !result.CheckValueReturned || result.CheckValueExist != (c.value != absent) {
				t.Fatalf("case %d: %+v", i, result)
			}
			if result.CheckValueExist {
				equal(t, result.CheckValue, b(c.value))
			}
		}
	}
}

func TestCheckAndSetOptions(t *testing.T) {
	table := newTable(t)
	result, err := table.CheckAndSet(soon(), b("h"), b("s"), pegasus.CheckTypeNoCheck, nil, b("s"), b("word"), nil)
	must(t, err)
	equal(t, result.CheckValueReturned, false) // Nobody asked for it.
	_, err = table.CheckAndSet(within(200*time.Millisecond), b("h"), b("s"), pegasus.CheckTypeIntLess, b("1"),
		b("s"), b("new"), nil)
	if err == nil {
		t.Fatal("a word is less than a number")
	}
	_, err = table.CheckAndSet(soon(), b("h"), b("s"), pegasus.CheckTypeNoCheck, nil, b("s"), b("v"),
		&pegasus.CheckAndSetOptions{SetValueTTLSeconds: 100})
	must(t, err)
	ttl, err := table.TTL(soon(), b("h"), b("s"))
	must(t, err)
	if ttl < 80 || ttl > 100 {
		t.Fatalf("ttl %d", ttl)
	}
}
